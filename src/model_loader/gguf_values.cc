// What a parsed header holds: values by key, converted. Parsing, which proves them well formed, is in gguf_reader.cc.
#include <algorithm>
#include <cstring>
#include <limits>

#include "model_loader/gguf_reader.h"

namespace millrace {
namespace {

template <typename T>
double Load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return static_cast<double>(value);
}

double LoadNumber(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kBool:
      return Load<uint8_t>(bytes);
    case GgufType::kInt8:
      return Load<int8_t>(bytes);
    case GgufType::kUint16:
      return Load<uint16_t>(bytes);
    case GgufType::kInt16:
      return Load<int16_t>(bytes);
    case GgufType::kUint32:
      return Load<uint32_t>(bytes);
    case GgufType::kInt32:
      return Load<int32_t>(bytes);
    case GgufType::kFloat32:
      return Load<float>(bytes);
    case GgufType::kUint64:
      return Load<uint64_t>(bytes);
    case GgufType::kInt64:
      return Load<int64_t>(bytes);
    case GgufType::kFloat64:
      return Load<double>(bytes);
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0.0;
}

// Splits the bytes of string elements; they were proven well formed.
std::string_view TakeString(std::span<const std::byte>& bytes) {
  uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof(length));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof(length), length);
  bytes = bytes.subspan(sizeof(length) + length);
  return text;
}

}  // namespace

uint64_t GgufTypeBytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

const GgufValue* GgufHeader::Find(std::string_view key) const {
  const auto it = std::lower_bound(values_.begin(), values_.end(), key,
                                   [](const GgufValue& value, std::string_view k) { return value.key < k; });
  return it != values_.end() && it->key == key ? &*it : nullptr;
}

std::optional<std::string_view> GgufHeader::FindString(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr || value->is_array || value->type != GgufType::kString) return std::nullopt;
  std::span<const std::byte> bytes = value->bytes;
  return TakeString(bytes);
}

std::vector<std::string_view> GgufHeader::FindStrings(std::string_view key) const {
  const GgufValue* value = Find(key);
  std::vector<std::string_view> out;
  if (value == nullptr || !value->is_array || value->type != GgufType::kString) return out;
  out.reserve(value->count);
  std::span<const std::byte> bytes = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) out.push_back(TakeString(bytes));
  return out;
}

template <typename T>
std::vector<T> GgufHeader::FindNumbers(std::string_view key) const {
  const GgufValue* value = Find(key);
  std::vector<T> out;
  if (value == nullptr || !value->is_array || value->type == GgufType::kString) return out;
  const uint64_t stride = GgufTypeBytes(value->type);
  out.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const double number = LoadNumber(value->type, value->bytes.data() + i * stride);
    // A number that T cannot hold has no defined conversion.
    const bool fits = number >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
                      number <= static_cast<double>(std::numeric_limits<T>::max());
    out.push_back(fits ? static_cast<T>(number) : T(0));
  }
  return out;
}

template std::vector<float> GgufHeader::FindNumbers(std::string_view key) const;
template std::vector<int32_t> GgufHeader::FindNumbers(std::string_view key) const;

Field GgufHeader::Get(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::monostate();
  if (value->type == GgufType::kString) {
    if (value->is_array) return UnreadableField();
    return std::string(*FindString(key));
  }
  const uint64_t stride = GgufTypeBytes(value->type);
  if (!value->is_array) {
    const double number = LoadNumber(value->type, value->bytes.data());
    if (value->type == GgufType::kBool) return number != 0.0;
    return number;
  }
  if (value->count > kMaxFieldList) return UnreadableField();
  std::vector<double> list(value->count);
  for (uint64_t i = 0; i < value->count; ++i) list[i] = LoadNumber(value->type, value->bytes.data() + i * stride);
  return list;
}

}  // namespace millrace
