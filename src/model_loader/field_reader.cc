#include "model_loader/field_reader.h"

#include <cmath>
#include <limits>

namespace millrace {

bool FieldReader::Has(std::string_view key) const {
  return !std::holds_alternative<std::monostate>(Get(key));
}

void FieldReader::Fail(std::string_view key, std::string_view problem) {
  if (status_.ok()) status_ = InvalidArgument("{}: field {}{} {}", where_, prefix_, key, problem);
}

int64_t FieldReader::CheckedInt(std::string_view key, double value, int64_t min, int64_t max) {
  if (!(value >= static_cast<double>(min) && value <= static_cast<double>(max)) || value != std::floor(value)) {
    Fail(key, fmt::format("is {}, expected a whole number from {} to {}", value, min, max));
    return min;
  }
  return static_cast<int64_t>(value);
}

int64_t FieldReader::Int(std::string_view key, int64_t fallback, int64_t min, int64_t max) {
  const Field field = Get(key);
  if (std::holds_alternative<std::monostate>(field)) return fallback;
  if (const double* number = std::get_if<double>(&field)) return CheckedInt(key, *number, min, max);
  Fail(key, "is not a number");
  return min;
}

int64_t FieldReader::RequireInt(std::string_view key, int64_t min, int64_t max) {
  if (!Has(key)) {
    Fail(key, "is missing");
    return min;
  }
  return Int(key, min, min, max);
}

int64_t FieldReader::UniformInt(std::string_view key, int64_t fallback, int64_t min, int64_t max) {
  const Field field = Get(key);
  const auto* list = std::get_if<std::vector<double>>(&field);
  if (list == nullptr || list->empty()) return Int(key, fallback, min, max);
  for (const double value : *list) {
    if (value != list->front()) {
      Fail(key, fmt::format("differs between layers ({} and {}), which no supported architecture has", list->front(),
                            value));
      return min;
    }
  }
  return CheckedInt(key, list->front(), min, max);
}

float FieldReader::Float(std::string_view key, float fallback) {
  const Field field = Get(key);
  if (std::holds_alternative<std::monostate>(field)) return fallback;
  const double* number = std::get_if<double>(&field);
  if (number == nullptr || !(std::fabs(*number) <= std::numeric_limits<float>::max())) {
    Fail(key, "is not a finite number");
    return fallback;
  }
  return static_cast<float>(*number);
}

bool FieldReader::Bool(std::string_view key, bool fallback) {
  const Field field = Get(key);
  if (std::holds_alternative<std::monostate>(field)) return fallback;
  if (const bool* value = std::get_if<bool>(&field)) return *value;
  Fail(key, "is not true or false");
  return fallback;
}

std::string FieldReader::String(std::string_view key, std::string_view fallback) {
  Field field = Get(key);
  if (std::holds_alternative<std::monostate>(field)) return std::string(fallback);
  if (std::string* value = std::get_if<std::string>(&field)) return std::move(*value);
  Fail(key, "is not a text");
  return std::string(fallback);
}

std::vector<double> FieldReader::Numbers(std::string_view key) {
  Field field = Get(key);
  if (std::holds_alternative<std::monostate>(field)) return {};
  if (auto* list = std::get_if<std::vector<double>>(&field)) return std::move(*list);
  Fail(key, "is not a list of numbers");
  return {};
}

}  // namespace millrace
