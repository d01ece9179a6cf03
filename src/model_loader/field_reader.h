// FieldReader: typed, bounded reads of configuration fields, from GGUF metadata and from JSON alike. The first error
// sticks, so that a parser reads all its fields in a row and asks for status() once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"

namespace millrace {

// A field's value: absent (or JSON null), a boolean, a number, a text, or a list of numbers (booleans count as 0 and
// 1).
struct UnreadableField {};  // present, of a kind that no parser reads (object, list of texts)
using Field = std::variant<std::monostate, bool, double, std::string, std::vector<double>, UnreadableField>;

class FieldSource {
 public:
  virtual ~FieldSource() = default;
  virtual Field Get(std::string_view key) const = 0;
};

// Fields with more elements are refused; the longest honest list has an entry per layer or per rotary pair.
inline constexpr size_t kMaxFieldList = 1 << 16;

class FieldReader {
 public:
  // `where` names the file in error messages; `prefix` is put before every key.
  FieldReader(const FieldSource& source, std::string where, std::string prefix = "")
      : source_(source), where_(std::move(where)), prefix_(std::move(prefix)) {}

  bool Has(std::string_view key) const;

  // A whole number in [min, max]; the fallback when the field is absent.
  int64_t Int(std::string_view key, int64_t fallback, int64_t min, int64_t max);
  int64_t RequireInt(std::string_view key, int64_t min, int64_t max);
  // One whole number, or a list of one and the same number per layer, which is how GGUF writes some counts.
  int64_t UniformInt(std::string_view key, int64_t fallback, int64_t min, int64_t max);
  // A finite number.
  float Float(std::string_view key, float fallback);
  bool Bool(std::string_view key, bool fallback);
  std::string String(std::string_view key, std::string_view fallback);
  // Empty when absent.
  std::vector<double> Numbers(std::string_view key);

  // Records an error of the caller's own about a field.
  void Fail(std::string_view key, std::string_view problem);
  const Status& status() const { return status_; }

 private:
  Field Get(std::string_view key) const { return source_.Get(prefix_ + std::string(key)); }
  int64_t CheckedInt(std::string_view key, double value, int64_t min, int64_t max);

  const FieldSource& source_;
  const std::string where_;
  const std::string prefix_;
  Status status_;
};

}  // namespace millrace
