// Filters that make or change numbers.
#include <charconv>
#include <cmath>
#include <optional>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/text_ops.h"

namespace millrace::jinja {
namespace {

// Digits with single underscores between them removed, blanks around them gone; empty when the text is no such thing.
std::string CleanNumber(const Text& text) {
  const Text stripped = Strip(text, nullptr, Side::kBoth);
  std::string clean;
  const std::string_view view = stripped.view();
  for (size_t i = 0; i < view.size(); ++i) {
    if (view[i] != '_') {
      clean += view[i];
    } else if (i == 0 || i + 1 == view.size() || !std::isalnum(static_cast<unsigned char>(view[i - 1])) ||
               !std::isalnum(static_cast<unsigned char>(view[i + 1]))) {
      return "";
    }
  }
  return clean;
}

std::optional<int64_t> ParseInteger(const Text& text, int base) {
  std::string clean = CleanNumber(text);
  const bool negative = clean.starts_with('-');
  if (negative || clean.starts_with('+')) clean.erase(0, 1);
  const auto prefixed = [&](char letter) { return clean.size() > 2 && clean[0] == '0' && (clean[1] | 0x20) == letter; };
  if ((base == 16 && prefixed('x')) || (base == 8 && prefixed('o')) || (base == 2 && prefixed('b'))) clean.erase(0, 2);
  if (clean.empty() || clean[0] == '-' || base < 2 || base > 36) return std::nullopt;
  int64_t value = 0;
  const auto result = std::from_chars(clean.data(), clean.data() + clean.size(), value, base);
  if (result.ec != std::errc() || result.ptr != clean.data() + clean.size()) return std::nullopt;
  return negative ? -value : value;
}

std::optional<double> ParseFloat(const Text& text) {
  std::string clean = CleanNumber(text);
  const bool negative = clean.starts_with('-');
  if (negative || clean.starts_with('+')) clean.erase(0, 1);
  if (clean.empty() || clean[0] == '-') return std::nullopt;
  double value = 0;
  const auto result = std::from_chars(clean.data(), clean.data() + clean.size(), value);
  if (result.ptr != clean.data() + clean.size() || result.ec == std::errc::invalid_argument) return std::nullopt;
  return negative ? -value : value;
}

Value Int(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Value fallback = bound[0] != nullptr ? *bound[0] : Value::Int(0);
  double real = 0;
  if (self.is_string()) {
    const auto base = static_cast<int>(IntegerOr(interpreter, bound[1], 10));
    if (const auto integer = ParseInteger(self.text(), base)) return Value::Int(*integer);
    const auto parsed = ParseFloat(self.text());
    if (!parsed.has_value()) return fallback;
    real = *parsed;
  } else if (self.is_integral()) {
    return Value::Int(self.integer());
  } else if (self.is_float()) {
    real = self.number();
  } else {
    return self.is_undefined() ? interpreter.FailUndefined(self) : fallback;
  }
  return std::isfinite(real) && std::fabs(real) < 9.2e18 ? Value::Int(static_cast<int64_t>(real)) : fallback;
}

Value Float(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Value fallback = bound[0] != nullptr ? *bound[0] : Value::Float(0);
  if (self.is_number()) return Value::Float(self.number());
  if (self.is_undefined()) return interpreter.FailUndefined(self);
  if (!self.is_string()) return fallback;
  const auto parsed = ParseFloat(self.text());
  return parsed.has_value() ? Value::Float(*parsed) : fallback;
}

Value Abs(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  if (self.is_float()) return Value::Float(std::fabs(self.number()));
  if (self.is_integral())
    return self.integer() < 0 ? interpreter.Binary('-', Value::Int(0), self) : Value::Int(self.integer());
  return self.is_undefined() ? interpreter.FailUndefined(self)
                             : interpreter.Fail("bad operand type for abs(): '{}'", TypeName(self));
}

Value Round(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (self.is_undefined()) return interpreter.FailUndefined(self);
  if (!self.is_number()) return interpreter.Fail("round needs a number, found {}", TypeName(self));
  const int64_t precision = IntegerOr(interpreter, bound[0], 0);
  const std::string_view method = bound[1] != nullptr && bound[1]->is_string() ? bound[1]->view() : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    return interpreter.Fail("round's method must be common, ceil or floor");
  }
  if (precision < -300 || precision > 300) return interpreter.Fail("round's precision {} is out of range", precision);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method != "common") {
    const double scaled = self.number() * scale;
    return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (self.is_integral() && precision >= 0) return Value::Int(self.integer());
  if (precision < 0) {
    const double rounded = std::nearbyint(self.number() * scale) / scale;
    return self.is_float() ? Value::Float(rounded) : Value::Int(static_cast<int64_t>(rounded));
  }
  if (!std::isfinite(self.number())) return self;
  // The decimal digits are exact, so that halves go where Python's round puts them.
  return Value::Float(std::stod(fmt::format("{:.{}f}", self.number(), static_cast<int>(precision))));
}

constexpr Builtin kNumberFilters[] = {
    {"int", Int, 0, {"default", "base"}},
    {"float", Float, 0, {"default"}},
    {"abs", Abs},
    {"round", Round, 0, {"precision", "method"}},
};

}  // namespace

std::span<const Builtin> NumberFilters() {
  return kNumberFilters;
}

}  // namespace millrace::jinja
