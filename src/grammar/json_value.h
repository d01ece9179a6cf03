// JSON values for schemas: member order and the digits of numbers are kept, since both matter when a schema is
// compiled.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace millrace::grammar {

struct JsonMember;

struct JsonValue {
  enum Type : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject } type = kNull;
  bool boolean = false;
  std::string text;  // kString: decoded; kNumber: as written
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;  // no key twice: the last one wins

  const JsonValue* Find(std::string_view key) const;
  bool is(Type t) const { return type == t; }
};

// A type of its own: std::pair would need JsonValue to be complete inside JsonValue.
struct JsonMember {
  std::string first;
  JsonValue second;
};

// Depth is bounded (128). kInvalidArgument with the parser's position otherwise.
Result<std::unique_ptr<JsonValue>> ParseJson(std::string_view text);

// Equal strings exactly for equal values (1 and 1.0 are equal, member order doesn't matter).
std::string CanonicalJson(const JsonValue& value);

// A decimal number: (negative ? -1 : 1) * digits * 10^exponent; digits without leading or trailing zeros, "" for zero.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t exponent = 0;
  bool is_zero() const { return digits.empty(); }
  bool is_integer() const { return exponent >= 0; }
};
Result<Decimal> ParseDecimal(std::string_view text);
// The value as a count (minLength, maxItems ...): kInvalidArgument when it is not a non-negative integer.
Result<uint32_t> ToCount(const JsonValue& value);

}  // namespace millrace::grammar
