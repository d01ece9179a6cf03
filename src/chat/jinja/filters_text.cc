// Filters whose input is text.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/json.h"
#include "chat/jinja/text_ops.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

Value Upper(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.MakeString(Transform(*InputText(interpreter, self), ToUpper));
}

Value Lower(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.MakeString(Transform(*InputText(interpreter, self), ToLower));
}

Value CapitalizeFilter(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.MakeString(Transform(*InputText(interpreter, self), Capitalize));
}

// Jinja's own title: words begin after blanks and opening brackets, not after any non-letter.
std::string TitleWords(std::string_view view) {
  std::string out;
  size_t word = 0;
  const auto flush = [&](size_t end) {
    if (end == word) return;
    const size_t first = DecodeAt(view, word).size;
    out += ToUpper(view.substr(word, first)) + ToLower(view.substr(word + first, end - word - first));
  };
  for (size_t i = 0; i < view.size();) {
    const Char c = DecodeAt(view, i);
    if (IsSpace(c.code) || (c.code < 0x80 && std::string_view("-({[<").find(view[i]) != std::string_view::npos)) {
      flush(i);
      out += view.substr(i, c.size);
      word = i + c.size;
    }
    i += c.size;
  }
  flush(view.size());
  return out;
}

Value Title(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.MakeString(Transform(*InputText(interpreter, self), TitleWords));
}

Value Trim(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* chars = TextOrNull(interpreter, bound[0]);
  const TextPtr text = InputText(interpreter, self);
  if (chars != nullptr) interpreter.Charge(text->size() * chars->size() / 64);
  return interpreter.failed() ? Value() : interpreter.MakeString(Strip(*text, chars, Side::kBoth));
}

Value ReplaceFilter(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const int64_t count = bound[2] != nullptr && bound[2]->is_none() ? -1 : IntegerOr(interpreter, bound[2], -1);
  return interpreter.MakeString(Replace(*InputText(interpreter, self), *InputText(interpreter, *bound[0]),
                                        *InputText(interpreter, *bound[1]), count,
                                        interpreter.limits().max_output_bytes));
}

Value StringFilter(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.ToString(self);
}

Value Safe(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  Text text = *InputText(interpreter, self);
  text.set_markup(true);
  return interpreter.MakeString(std::move(text));
}

Value Escape(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  const TextPtr text = InputText(interpreter, self);
  return text->markup() ? self : interpreter.MakeString(EscapeHtml(*text));
}

Value ForceEscape(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.MakeString(EscapeHtml(*InputText(interpreter, self)));
}

Value Indent(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!self.is_string())
    return self.is_undefined() ? interpreter.FailUndefined(self)
                               : interpreter.Fail("indent needs a string, found {}", TypeName(self));
  Text indentation;
  if (bound[0] != nullptr && bound[0]->is_string()) {
    indentation = bound[0]->text();
  } else {
    const int64_t width = std::clamp<int64_t>(IntegerOr(interpreter, bound[0], 4), 0, 1 << 16);
    indentation.Append(std::string(static_cast<size_t>(width), ' '), false);
  }
  const bool first = BooleanOr(bound[1], false);
  const bool blank = BooleanOr(bound[2], false);
  Text source = self.text();
  source.Append("\n", false);
  Text out;
  const std::vector<Text> lines = SplitLines(source, false);
  if (!interpreter.Charge(lines.size())) return Value();
  for (size_t i = 0; i < lines.size() && out.size() <= interpreter.limits().max_output_bytes; ++i) {
    if (i > 0) out.Append("\n", false);
    if (i == 0 ? first : blank || !lines[i].empty()) out.Append(indentation);
    out.Append(lines[i]);
  }
  return interpreter.MakeString(std::move(out));
}

Value Center(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const TextPtr text = InputText(interpreter, self);
  const auto length = static_cast<int64_t>(CountChars(text->view()));
  const int64_t width = std::min<int64_t>(IntegerOr(interpreter, bound[0], 80), 1 << 20);
  if (width <= length) return interpreter.MakeString(*text);
  const int64_t missing = width - length;
  const int64_t left = missing / 2 + (missing & width & 1);
  Text out(std::string(static_cast<size_t>(left), ' '), false);
  out.Append(*text);
  out.Append(std::string(static_cast<size_t>(missing - left), ' '), false);
  return interpreter.MakeString(std::move(out));
}

Value Truncate(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const TextPtr text = InputText(interpreter, self);
  const int64_t length = IntegerOr(interpreter, bound[0], 255);
  const bool kill_words = BooleanOr(bound[1], false);
  const Text dots("...", false);
  const Text* end = TextOrNull(interpreter, bound[2]);
  if (end == nullptr) end = &dots;
  const int64_t leeway = IntegerOr(interpreter, bound[3], 5);
  const auto end_length = static_cast<int64_t>(CountChars(end->view()));
  if (length < end_length || leeway < 0)
    return interpreter.Fail("truncate needs length >= {} and leeway >= 0", end_length);
  if (static_cast<int64_t>(CountChars(text->view())) - leeway <= length) return interpreter.MakeString(*text);
  Text out = text->Slice(0, CharOffset(text->view(), static_cast<size_t>(length - end_length)));
  const size_t space = out.view().rfind(' ');
  if (!kill_words && space != std::string_view::npos) out = out.Slice(0, space);
  out.Append(*end);
  return interpreter.MakeString(std::move(out));
}

Value WordCount(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  const TextPtr text = InputText(interpreter, self);
  int64_t count = 0;
  bool in_word = false;
  for (size_t i = 0; i < text->size();) {
    const Char c = DecodeAt(text->view(), i);
    const bool word = IsAlpha(c.code) || IsDigit(c.code) || c.code == '_';
    count += word && !in_word ? 1 : 0;
    in_word = word;
    i += c.size;
  }
  return Value::Int(count);
}

Value Format(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  if (!raw.positional.empty() && !raw.named.empty())
    return interpreter.Fail("format takes positional or named arguments, not both");
  const TextPtr text = InputText(interpreter, self);
  if (raw.named.empty()) return FormatPercent(interpreter, *text, interpreter.MakeList(raw.positional, Flavor::kTuple));
  DictObject* dict = interpreter.MakeDict();
  for (const auto& [name, value] : raw.named) interpreter.SetItem(*dict, Value::String(name, false), value);
  return FormatPercent(interpreter, *text, Value(Kind::kDict, dict));
}

Value ToJsonFilter(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  JsonStyle style;
  style.ensure_ascii = BooleanOr(bound[0], false);
  style.sort_keys = BooleanOr(bound[3], false);
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    style.indented = true;
    style.item_separator = ",";
    if (bound[1]->is_string()) {
      style.indent = bound[1]->view();
    } else {
      style.indent.assign(static_cast<size_t>(std::clamp<int64_t>(IntegerOr(interpreter, bound[1], 0), 0, 256)), ' ');
    }
  }
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    std::vector<Value> separators;
    if (!interpreter.Iterate(*bound[2], separators)) return Value();
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      return interpreter.Fail("tojson's separators must be two strings");
    }
    style.item_separator = separators[0].view();
    style.key_separator = separators[1].view();
  }
  return ToJson(interpreter, self, style);
}

constexpr Builtin kTextFilters[] = {
    {"upper", Upper},
    {"lower", Lower},
    {"capitalize", CapitalizeFilter},
    {"title", Title},
    {"trim", Trim, 0, {"chars"}},
    {"replace", ReplaceFilter, 2, {"old", "new", "count"}},
    {"string", StringFilter},
    {"safe", Safe},
    {"escape", Escape},
    {"e", Escape},
    {"forceescape", ForceEscape},
    {"indent", Indent, 0, {"width", "first", "blank"}},
    {"center", Center, 0, {"width"}},
    {"truncate", Truncate, 0, {"length", "killwords", "end", "leeway"}},
    {"wordcount", WordCount},
    {"format", Format, 0, {}, true},
    {"tojson", ToJsonFilter, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}},
};

}  // namespace

std::span<const Builtin> TextFilters() {
  return kTextFilters;
}

}  // namespace millrace::jinja
