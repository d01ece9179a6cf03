// Python's two ways to format a string: '%s' % x and '{}'.format(x).
#include <algorithm>
#include <cmath>
#include <optional>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/text_ops.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 16;

struct Directive {
  std::string_view flags;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
  bool Has(char flag) const { return flags.find(flag) != std::string_view::npos; }
};

int64_t ReadNumber(std::string_view text, size_t& at) {
  int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    value = std::min(kMaxWidth, value * 10 + text[at] - '0');
  return value;
}

// Pads with blanks or, for numbers, zeros after the sign.
Text Pad(Text text, const Directive& directive, bool number) {
  const auto length = static_cast<int64_t>(CountChars(text.view()));
  if (length >= directive.width) return text;
  const auto missing = static_cast<size_t>(directive.width - length);
  Text out;
  if (directive.Has('-')) {
    out.Append(text);
    out.Append(std::string(missing, ' '), false);
  } else if (number && directive.Has('0')) {
    const size_t sign = !text.empty() && (text.view()[0] == '-' || text.view()[0] == '+') ? 1 : 0;
    out.AppendSlice(text, 0, sign);
    out.Append(std::string(missing, '0'), false);
    out.AppendSlice(text, sign, text.size());
  } else {
    out.Append(std::string(missing, ' '), false);
    out.Append(text);
  }
  return out;
}

std::optional<std::string> FormatNumber(const Directive& directive, const Value& value) {
  if (!value.is_number()) return std::nullopt;
  const auto precision = static_cast<int>(directive.precision < 0 ? 6 : std::min<int64_t>(directive.precision, 100));
  const double real = value.number();
  std::string text;
  switch (directive.type) {
    case 'd':
    case 'i':
    case 'u':
      if (!std::isfinite(real) || std::fabs(real) > 9e18) return std::nullopt;
      text = fmt::format("{}", value.is_float() ? static_cast<int64_t>(real) : value.integer());
      break;
    case 'x':
    case 'X':
      if (!value.is_integral()) return std::nullopt;
      text = directive.type == 'x' ? fmt::format("{:x}", value.integer()) : fmt::format("{:X}", value.integer());
      break;
    case 'e':
      text = fmt::format("{:.{}e}", real, precision);
      break;
    case 'g':
      text = fmt::format("{:.{}g}", real, precision);
      break;
    default:
      text = fmt::format("{:.{}f}", real, precision);
  }
  if (text[0] != '-' && directive.Has('+')) text.insert(0, "+");
  return text;
}

bool AppendDirective(Interpreter& interpreter, const Directive& directive, const Value& value, Text& out) {
  const size_t limit = interpreter.limits().max_output_bytes;
  Text text;
  bool number = false;
  if (directive.type == 's' || directive.type == 'r') {
    if (!(directive.type == 's' ? AppendStr(value, limit, text) : AppendRepr(value, limit, text))) {
      interpreter.Fail("a {} is too large or too deep to print", TypeName(value));
      return false;
    }
    if (directive.precision >= 0)
      text = text.Slice(0, CharOffset(text.view(), static_cast<size_t>(directive.precision)));
  } else if (std::string_view("diufFeEgGxX").find(directive.type) != std::string_view::npos) {
    const auto formatted = FormatNumber(directive, value);
    if (!formatted.has_value()) {
      interpreter.Fail("%{} format: a number is required, not {}", directive.type, TypeName(value));
      return false;
    }
    text = Text(*formatted, false);
    number = true;
  } else {
    interpreter.Fail("unsupported format character '{}'", directive.type);
    return false;
  }
  out.Append(Pad(std::move(text), directive, number));
  if (out.size() > limit) interpreter.FailWith(StatusCode::kOutOfRange, "a string is longer than max_output_bytes");
  return !interpreter.failed();
}

}  // namespace

Value FormatPercent(Interpreter& interpreter, const Text& format, const Value& arguments) {
  const std::string_view view = format.view();
  const bool tuple = arguments.is_list() && arguments.list().flavor == Flavor::kTuple;
  const size_t num_values = tuple ? arguments.list().items.size() : 1;
  size_t used = 0;
  bool named = false;
  Text out;
  for (size_t at = 0; at < view.size();) {
    const size_t percent = std::min(view.find('%', at), view.size());
    out.AppendSlice(format, at, percent);
    at = percent + 1;
    if (percent == view.size()) break;
    const Value* value = nullptr;
    if (at < view.size() && view[at] == '(') {
      const size_t close = view.find(')', at);
      if (close == std::string_view::npos || !arguments.is_dict()) return interpreter.Fail("format requires a mapping");
      value = arguments.dict().Find(view.substr(at + 1, close - at - 1));
      if (value == nullptr) return interpreter.Fail("format key '{}' is missing", view.substr(at + 1, close - at - 1));
      at = close + 1;
      named = true;
    }
    Directive directive;
    const size_t flags = at;
    while (at < view.size() && std::string_view("-+ 0#").find(view[at]) != std::string_view::npos) ++at;
    directive.flags = view.substr(flags, at - flags);
    directive.width = ReadNumber(view, at);
    if (at < view.size() && view[at] == '.') directive.precision = ReadNumber(view, ++at);
    if (at >= view.size()) return interpreter.Fail("incomplete format");
    directive.type = view[at++];
    if (directive.type == '%') {
      out.Append("%", false);
      continue;
    }
    if (value == nullptr) {
      if (used >= num_values) return interpreter.Fail("not enough arguments for format string");
      value = tuple ? &arguments.list().items[used] : &arguments;
      ++used;
    }
    if (!AppendDirective(interpreter, directive, *value, out)) return Value();
  }
  if (!named && used < num_values && (tuple || !arguments.is_dict())) {
    return interpreter.Fail("not all arguments converted during string formatting");
  }
  return interpreter.MakeString(std::move(out));
}

Value FormatBraces(Interpreter& interpreter, const Text& format, const Arguments& arguments) {
  const std::string_view view = format.view();
  size_t next = 0;
  Text out;
  for (size_t at = 0; at < view.size();) {
    const size_t brace = std::min(view.find_first_of("{}", at), view.size());
    out.AppendSlice(format, at, brace);
    if (brace == view.size()) break;
    if (brace + 1 < view.size() && view[brace + 1] == view[brace]) {
      out.AppendSlice(format, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const size_t close = view[brace] == '{' ? view.find('}', brace) : std::string_view::npos;
    if (close == std::string_view::npos) return interpreter.Fail("single '{}' in a format string", view[brace]);
    const std::string_view field = view.substr(brace + 1, close - brace - 1);
    if (field.find_first_of(":!.[{") != std::string_view::npos) {
      return interpreter.Fail("format field '{}' is not supported, expected a position or a name", field);
    }
    const Value* value = nullptr;
    if (field.empty() || field.find_first_not_of("0123456789") == std::string_view::npos) {
      size_t digits = 0;
      const size_t index = field.empty() ? next++ : static_cast<size_t>(ReadNumber(field, digits));
      if (index < arguments.positional.size()) value = &arguments.positional[index];
    } else {
      for (const auto& [name, argument] : arguments.named) {
        if (name == field) value = &argument;
      }
    }
    if (value == nullptr) return interpreter.Fail("no argument for format field '{}'", field);
    if (!AppendStr(*value, interpreter.limits().max_output_bytes, out)) {
      return interpreter.FailWith(StatusCode::kOutOfRange, "a string is longer than max_output_bytes");
    }
    at = close + 1;
  }
  return interpreter.MakeString(std::move(out));
}

}  // namespace millrace::jinja
