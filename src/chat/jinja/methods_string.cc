// Methods of str.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/text_ops.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

template <std::string (*Function)(std::string_view)>
Value Transformed(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  if (!interpreter.Charge(self.text().size() / 16)) return Value();
  Text text = Transform(self.text(), Function);
  text.set_markup(self.text().markup());
  return interpreter.MakeString(std::move(text));
}

std::string SwapCase(std::string_view view) {
  std::string out;
  for (size_t i = 0; i < view.size();) {
    const Char c = DecodeAt(view, i);
    const std::string_view bytes = view.substr(i, c.size);
    out += IsUpper(c.code) ? ToLower(bytes) : ToUpper(bytes);
    i += c.size;
  }
  return out;
}

template <Side side>
Value StripMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* chars = TextOrNull(interpreter, bound[0]);
  if (chars != nullptr) interpreter.Charge(self.text().size() * chars->size() / 64);
  return interpreter.failed() ? Value() : interpreter.MakeString(Strip(self.text(), chars, side));
}

template <bool right>
Value SplitMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* separator = TextOrNull(interpreter, bound[0]);
  if (separator != nullptr && separator->empty()) return interpreter.Fail("empty separator");
  const int64_t limit = IntegerOr(interpreter, bound[1], -1);
  const size_t size = self.text().size();
  // The search from the right compares naively.
  if (!interpreter.Charge(size / 4 + (right && separator != nullptr ? size * separator->size() / 64 : 0)))
    return Value();
  if (!interpreter.ChargeBytes(size * 4)) return Value();
  const std::string_view view = separator != nullptr ? separator->view() : std::string_view();
  std::vector<Value> parts;
  for (Text& part : right ? SplitRight(self.text(), view, limit) : Split(self.text(), view, limit)) {
    parts.push_back(Value::String(std::move(part)));
  }
  return interpreter.MakeList(std::move(parts));
}

Value SplitLinesMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!interpreter.Charge(self.text().size() / 4) || !interpreter.ChargeBytes(self.text().size() * 4)) return Value();
  std::vector<Value> lines;
  for (Text& line : SplitLines(self.text(), BooleanOr(bound[0], false)))
    lines.push_back(Value::String(std::move(line)));
  return interpreter.MakeList(std::move(lines));
}

template <bool right>
Value PartitionMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* separator = TextOrNull(interpreter, bound[0]);
  if (separator == nullptr || separator->empty()) return interpreter.Fail("empty separator");
  const Text& text = self.text();
  if (!interpreter.Charge(text.size() * (right ? separator->size() : 1) / 64)) return Value();
  const size_t at = right ? text.view().rfind(separator->view()) : FindBytes(text.view(), separator->view());
  std::vector<Value> parts(3, interpreter.MakeString("", false));
  if (at == std::string_view::npos) {
    parts[right ? 2 : 0] = self;
  } else {
    parts[0] = interpreter.MakeString(text.Slice(0, at));
    parts[1] = interpreter.MakeString(text.Slice(at, separator->size()));
    parts[2] = interpreter.MakeString(text.Slice(at + separator->size()));
  }
  return interpreter.MakeList(std::move(parts), Flavor::kTuple);
}

// The bytes of text[start:end] in characters, as find, count, startswith and endswith take them.
std::string_view Window(Interpreter& interpreter, const Value& self, const Value* start, const Value* end,
                        size_t& offset) {
  const std::string_view view = self.view();
  offset = 0;
  if (start == nullptr && end == nullptr) return view;
  interpreter.Charge(view.size() / 16);
  const auto size = static_cast<int64_t>(CountChars(view));
  const auto at = [&](const Value* bound, int64_t missing) {
    if (bound == nullptr || bound->is_none()) return missing;
    const int64_t index = IntegerOr(interpreter, bound, missing);
    return std::clamp<int64_t>(index < 0 ? index + size : index, 0, size);
  };
  const int64_t first = at(start, 0);
  const int64_t last = std::max(first, at(end, size));
  offset = CharOffset(view, static_cast<size_t>(first));
  return view.substr(offset, CharOffset(view.substr(offset), static_cast<size_t>(last - first)));
}

template <bool right, bool must>
Value FindMethodOf(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* needle = TextOrNull(interpreter, bound[0]);
  if (needle == nullptr) return interpreter.Fail("find needs a string");
  size_t offset = 0;
  const std::string_view window = Window(interpreter, self, bound[1], bound[2], offset);
  if (!interpreter.Charge(window.size() * (right ? needle->size() + 1 : 1) / 64)) return Value();
  const size_t at = right ? window.rfind(needle->view()) : FindBytes(window, needle->view());
  if (at != std::string_view::npos) {
    return Value::Int(static_cast<int64_t>(CountChars(self.view().substr(0, offset + at))));
  }
  return must ? interpreter.Fail("substring not found") : Value::Int(-1);
}

Value CountMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* needle = TextOrNull(interpreter, bound[0]);
  if (needle == nullptr) return interpreter.Fail("count needs a string");
  size_t offset = 0;
  const std::string_view window = Window(interpreter, self, bound[1], bound[2], offset);
  if (!interpreter.Charge(window.size() / 16)) return Value();
  if (needle->empty()) return Value::Int(static_cast<int64_t>(CountChars(window)) + 1);
  int64_t count = 0;
  for (size_t at = 0; (at = FindBytes(window, needle->view(), at)) != std::string_view::npos; at += needle->size())
    ++count;
  return Value::Int(count);
}

template <bool suffix>
Value AffixTest(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> candidates = {*bound[0]};
  if (bound[0]->is_list() && bound[0]->list().flavor == Flavor::kTuple) candidates = bound[0]->list().items;
  size_t offset = 0;
  const std::string_view window = Window(interpreter, self, bound[1], bound[2], offset);
  for (const Value& candidate : candidates) {
    const Text* affix = TextOrNull(interpreter, &candidate);
    if (affix == nullptr) return interpreter.Fail("expected a string or a tuple of strings");
    if (suffix ? window.ends_with(affix->view()) : window.starts_with(affix->view())) return Value::Bool(true);
  }
  return Value::Bool(false);
}

template <bool suffix>
Value RemoveAffix(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* affix = TextOrNull(interpreter, bound[0]);
  if (affix == nullptr) return interpreter.Fail("expected a string");
  const Text& text = self.text();
  if (suffix && text.view().ends_with(affix->view()))
    return interpreter.MakeString(text.Slice(0, text.size() - affix->size()));
  if (!suffix && text.view().starts_with(affix->view())) return interpreter.MakeString(text.Slice(affix->size()));
  return self;
}

Value ReplaceMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* from = TextOrNull(interpreter, bound[0]);
  const Text* to = TextOrNull(interpreter, bound[1]);
  const int64_t count = IntegerOr(interpreter, bound[2], -1);
  if (from == nullptr || to == nullptr) return interpreter.Fail("replace needs two strings");
  if (!interpreter.Charge(self.text().size() / 16)) return Value();
  return interpreter.MakeString(Replace(self.text(), *from, *to, count, interpreter.limits().max_output_bytes));
}

Value JoinMethod(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(*bound[0], items)) return Value();
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string())
      return interpreter.Fail("sequence item {}: expected str, found {}", i, TypeName(items[i]));
    if (i > 0) out.Append(self.text());
    out.Append(items[i].text());
    if (out.size() > interpreter.limits().max_output_bytes) break;
  }
  return interpreter.MakeString(std::move(out));
}

enum class Align : uint8_t { kLeft, kRight, kZero };

template <Align align>
Value Justify(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text& text = self.text();
  const auto length = static_cast<int64_t>(CountChars(text.view()));
  const int64_t missing = std::min<int64_t>(IntegerOr(interpreter, bound[0], 0), 1 << 20) - length;
  if (missing <= 0) return self;
  const Text* fill = align == Align::kZero ? nullptr : TextOrNull(interpreter, bound[1]);
  if (fill != nullptr && CountChars(fill->view()) != 1)
    return interpreter.Fail("the fill character must be one character");
  Text padding;
  for (int64_t i = 0; i < missing; ++i)
    padding.Append(fill != nullptr ? fill->view() : align == Align::kZero ? "0" : " ", false);
  const bool sign = align == Align::kZero && !text.empty() && (text.view()[0] == '-' || text.view()[0] == '+');
  Text out = align == Align::kLeft ? text : text.Slice(0, sign ? 1 : 0);
  out.Append(padding);
  if (align != Align::kLeft) out.AppendSlice(text, sign ? 1 : 0, text.size());
  return interpreter.MakeString(std::move(out));
}

Value FormatMethod(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  return FormatBraces(interpreter, self.text(), raw);
}

bool IsAlnum(char32_t code) {
  return IsAlpha(code) || IsDigit(code);
}
bool IsAscii(char32_t code) {
  return code < 0x80;
}

// Whether every character passes; `empty` is the answer for an empty string.
template <bool (*Predicate)(char32_t), bool empty>
Value All(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  const std::string_view view = self.view();
  if (!interpreter.Charge(view.size() / 16)) return Value();
  for (size_t i = 0; i < view.size();) {
    const Char c = DecodeAt(view, i);
    if (!Predicate(c.code)) return Value::Bool(false);
    i += c.size;
  }
  return Value::Bool(empty || !view.empty());
}

template <bool upper>
Value CaseTest(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.CallBuiltin(*FindTest(upper ? "upper" : "lower"), self, {});
}

constexpr Builtin kMethods[] = {
    {"upper", Transformed<ToUpper>},
    {"lower", Transformed<ToLower>},
    {"casefold", Transformed<ToLower>},
    {"capitalize", Transformed<Capitalize>},
    {"title", Transformed<TitleCase>},
    {"swapcase", Transformed<SwapCase>},
    {"strip", StripMethod<Side::kBoth>, 0, {"chars"}},
    {"lstrip", StripMethod<Side::kLeft>, 0, {"chars"}},
    {"rstrip", StripMethod<Side::kRight>, 0, {"chars"}},
    {"split", SplitMethod<false>, 0, {"sep", "maxsplit"}},
    {"rsplit", SplitMethod<true>, 0, {"sep", "maxsplit"}},
    {"splitlines", SplitLinesMethod, 0, {"keepends"}},
    {"partition", PartitionMethod<false>, 1, {"sep"}},
    {"rpartition", PartitionMethod<true>, 1, {"sep"}},
    {"find", FindMethodOf<false, false>, 1, {"sub", "start", "end"}},
    {"rfind", FindMethodOf<true, false>, 1, {"sub", "start", "end"}},
    {"index", FindMethodOf<false, true>, 1, {"sub", "start", "end"}},
    {"rindex", FindMethodOf<true, true>, 1, {"sub", "start", "end"}},
    {"count", CountMethod, 1, {"sub", "start", "end"}},
    {"startswith", AffixTest<false>, 1, {"prefix", "start", "end"}},
    {"endswith", AffixTest<true>, 1, {"suffix", "start", "end"}},
    {"removeprefix", RemoveAffix<false>, 1, {"prefix"}},
    {"removesuffix", RemoveAffix<true>, 1, {"suffix"}},
    {"replace", ReplaceMethod, 2, {"old", "new", "count"}},
    {"join", JoinMethod, 1, {"iterable"}},
    {"ljust", Justify<Align::kLeft>, 1, {"width", "fillchar"}},
    {"rjust", Justify<Align::kRight>, 1, {"width", "fillchar"}},
    {"zfill", Justify<Align::kZero>, 1, {"width"}},
    {"format", FormatMethod, 0, {}, true},
    {"isdigit", All<IsDigit, false>},
    {"isdecimal", All<IsDigit, false>},
    {"isnumeric", All<IsDigit, false>},
    {"isalpha", All<IsAlpha, false>},
    {"isalnum", All<IsAlnum, false>},
    {"isspace", All<IsSpace, false>},
    {"isascii", All<IsAscii, true>},
    {"isupper", CaseTest<true>},
    {"islower", CaseTest<false>},
};

}  // namespace

std::span<const Builtin> StringMethods() {
  return kMethods;
}

}  // namespace millrace::jinja
