// str() and repr() of values.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "chat/jinja/unicode.h"
#include "chat/jinja/value.h"

namespace millrace::jinja {
namespace {

void AppendEscaped(const Char& c, std::string_view bytes, char quote, std::string& out) {
  if (c.code == static_cast<char32_t>(quote) || c.code == '\\') {
    out += '\\';
    out += static_cast<char>(c.code);
  } else if (c.code == '\n') {
    out += "\\n";
  } else if (c.code == '\r') {
    out += "\\r";
  } else if (c.code == '\t') {
    out += "\\t";
  } else if (IsPrintable(c.code)) {
    out += bytes;
  } else if (c.code < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c.code));
  } else if (c.code < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.code));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c.code));
  }
}

void AppendStringRepr(const Text& text, Text& out) {
  const std::string_view view = text.view();
  const bool double_quotes = view.find('\'') != std::string_view::npos && view.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string repr(1, quote);
  for (size_t i = 0; i < view.size();) {
    const Char c = DecodeAt(view, i);
    AppendEscaped(c, view.substr(i, c.size), quote, repr);
    i += c.size;
  }
  repr += quote;
  out.Append(repr, text.any_tainted());
}

bool AppendListRepr(const Value& value, size_t max_bytes, Text& out, int depth) {
  const ListObject& list = value.list();
  if (list.flavor == Flavor::kIterator) {
    out.Append("<generator object>", false);
    return true;
  }
  if (list.flavor == Flavor::kRange && list.items.size() > 1) {
    const int64_t step = list.items[1].integer() - list.items[0].integer();
    const int64_t stop = list.items.back().integer() + step;
    out.Append(step == 1 ? fmt::format("range({}, {})", list.items[0].integer(), stop)
                         : fmt::format("range({}, {}, {})", list.items[0].integer(), stop, step),
               false);
    return true;
  }
  const bool tuple = list.flavor == Flavor::kTuple;
  const bool view = list.flavor != Flavor::kList && !tuple;
  if (view) out.Append(fmt::format("{}(", TypeName(value)), false);
  out.Append(tuple ? "(" : "[", false);
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.Append(", ", false);
    if (!AppendRepr(list.items[i], max_bytes, out, depth + 1)) return false;
  }
  if (tuple && list.items.size() == 1) out.Append(",", false);
  out.Append(tuple ? ")" : "]", false);
  if (view) out.Append(")", false);
  return true;
}

bool AppendDictRepr(const DictObject& dict, size_t max_bytes, Text& out, int depth) {
  out.Append("{", false);
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out.Append(", ", false);
    if (!AppendRepr(dict.entries[i].first, max_bytes, out, depth + 1)) return false;
    out.Append(": ", false);
    if (!AppendRepr(dict.entries[i].second, max_bytes, out, depth + 1)) return false;
  }
  out.Append("}", false);
  return true;
}

}  // namespace

std::string FormatFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), std::fabs(value), std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  const int num_digits = static_cast<int>(digits.size());
  std::string result(std::signbit(value) ? "-" : "");
  if (exponent < -4 || exponent >= 16) {
    result += digits.substr(0, 1);
    if (num_digits > 1) result += "." + digits.substr(1);
    return result + fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return result + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (num_digits <= exponent + 1) {
    return result + digits + std::string(static_cast<size_t>(exponent + 1 - num_digits), '0') + ".0";
  }
  return result + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

bool AppendStr(const Value& value, size_t max_bytes, Text& out) {
  if (value.is_string()) {
    if (out.size() + value.text().size() > max_bytes) return false;
    out.Append(value.text());
    return true;
  }
  if (value.is_undefined()) return true;
  return AppendRepr(value, max_bytes, out);
}

bool AppendRepr(const Value& value, size_t max_bytes, Text& out, int depth) {
  if (depth > kMaxValueDepth || out.size() > max_bytes) return false;
  switch (value.kind()) {
    case Kind::kUndefined:
      out.Append("Undefined", false);
      return true;
    case Kind::kNone:
      out.Append("None", false);
      return true;
    case Kind::kBool:
      out.Append(value.boolean() ? "True" : "False", false);
      return true;
    case Kind::kInt:
      out.Append(fmt::format("{}", value.integer()), false);
      return true;
    case Kind::kFloat:
      out.Append(FormatFloat(value.number()), false);
      return true;
    case Kind::kString:
      if (out.size() + value.text().size() > max_bytes) return false;
      AppendStringRepr(value.text(), out);
      return true;
    case Kind::kList:
      return AppendListRepr(value, max_bytes, out, depth);
    case Kind::kDict:
      return AppendDictRepr(value.dict(), max_bytes, out, depth);
    case Kind::kNamespace:
      out.Append("<Namespace ", false);
      if (!AppendDictRepr(value.dict(), max_bytes, out, depth)) return false;
      out.Append(">", false);
      return true;
    case Kind::kFunction:
    case Kind::kLoop:
      out.Append(fmt::format("<{}>", TypeName(value)), false);
      return true;
  }
  return true;
}

}  // namespace millrace::jinja
