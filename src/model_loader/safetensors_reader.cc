#include "model_loader/safetensors_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "base/checked_math.h"
#include "model_loader/printable.h"

namespace millrace {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxDepth = 8;

struct TypeName {
  std::string_view name;
  uint64_t bytes;
  std::optional<DType> dtype;
};

constexpr TypeName kDTypes[] = {
    {"F32", 4, DType::kF32},        {"F16", 2, DType::kF16},      {"BF16", 2, DType::kBF16},
    {"F8_E4M3", 1, DType::kF8E4M3}, {"I8", 1, DType::kI8},        {"U8", 1, DType::kI8},
    {"I32", 4, DType::kI32},        {"I64", 8, DType::kI64},      {"BOOL", 1, std::nullopt},
    {"F8_E5M2", 1, std::nullopt},   {"F8_E8M0", 1, std::nullopt}, {"I16", 2, std::nullopt},
    {"U16", 2, std::nullopt},       {"U32", 4, std::nullopt},     {"U64", 8, std::nullopt},
    {"F64", 8, std::nullopt},
};

class HeaderParser {
 public:
  HeaderParser(const std::string& name, uint64_t data_begin, uint64_t data_bytes)
      : name_(name), data_begin_(data_begin), data_bytes_(data_bytes) {}

  Status Tensor(std::string_view key, dom::element value, SafeTensor& tensor) const;

 private:
  Status Bad(std::string_view key, std::string_view problem) const {
    return DataLoss("{}: tensor {} {}", name_, Printable(key), problem);
  }
  Status Shape(std::string_view key, dom::object object, SafeTensor& tensor, uint64_t& elements) const;

  const std::string& name_;
  const uint64_t data_begin_, data_bytes_;
};

Status HeaderParser::Shape(std::string_view key, dom::object object, SafeTensor& tensor, uint64_t& elements) const {
  dom::array shape;
  if (object["shape"].get(shape) != simdjson::SUCCESS) return Bad(key, "has no shape");
  elements = 1;
  for (const dom::element dimension : shape) {
    uint64_t size;
    if (dimension.get(size) != simdjson::SUCCESS || size == 0 || size > INT64_MAX)
      return Bad(key, "has a dimension that is not at least 1");
    if (tensor.shape.size() == kMaxSafetensorsRank) return Bad(key, "has more than 8 dimensions");
    tensor.shape.push_back(static_cast<int64_t>(size));
    const std::optional<uint64_t> product = CheckedMul(elements, size);
    if (!product || *product > INT64_MAX) return Bad(key, "has a number of elements that overflows");
    elements = *product;
  }
  return OkStatus();
}

Status HeaderParser::Tensor(std::string_view key, dom::element value, SafeTensor& tensor) const {
  if (!IsPlainName(key)) return Bad(key, "has a name that is not plain ASCII");
  if (key.empty() || key.size() > 1024) return Bad(key, "has a name that is empty or longer than 1,024 bytes");
  tensor.name = key;
  dom::object object;
  std::string_view type;
  if (value.get(object) != simdjson::SUCCESS) return Bad(key, "is not described by an object");
  if (object["dtype"].get(type) != simdjson::SUCCESS) return Bad(key, "has no dtype");
  const auto* info =
      std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](const TypeName& t) { return t.name == type; });
  if (info == std::end(kDTypes)) return Bad(key, fmt::format("has the unknown dtype {}", Printable(type)));
  tensor.type_name = type;
  tensor.dtype = info->dtype;
  uint64_t elements = 0;
  RETURN_IF_ERROR(Shape(key, object, tensor, elements));

  dom::array offsets;
  uint64_t begin = 0, end = 0;
  if (object["data_offsets"].get(offsets) != simdjson::SUCCESS || offsets.size() != 2 ||
      offsets.at(0).get(begin) != simdjson::SUCCESS || offsets.at(1).get(end) != simdjson::SUCCESS || begin > end) {
    return Bad(key, "has no valid data_offsets");
  }
  if (end > data_bytes_)
    return Bad(key, fmt::format("ends at byte {} of the data, which has {} bytes", end, data_bytes_));
  const std::optional<uint64_t> bytes = CheckedMul(elements, info->bytes);
  if (!bytes || *bytes != end - begin)
    return Bad(key, fmt::format("has {} bytes, its shape and dtype {} need another number", end - begin, type));
  tensor.offset = data_begin_ + begin;
  tensor.bytes = *bytes;
  return OkStatus();
}

// Sorts by offset; refuses overlaps and holes.
Status CheckLayout(const std::string& name, uint64_t data_begin, uint64_t file_bytes,
                   std::vector<SafeTensor>& tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const SafeTensor& a, const SafeTensor& b) { return a.offset < b.offset; });
  uint64_t expected = data_begin;
  for (const SafeTensor& tensor : tensors) {
    if (tensor.offset < expected) return DataLoss("{}: tensor {} overlaps another one", name, Printable(tensor.name));
    if (tensor.offset > expected)
      return DataLoss("{}: there is a hole of {} bytes before tensor {}", name, tensor.offset - expected,
                      Printable(tensor.name));
    expected = tensor.offset + tensor.bytes;
  }
  if (expected != file_bytes)
    return DataLoss("{}: {} bytes after the last tensor belong to none", name, file_bytes - expected);
  return OkStatus();
}

Status CheckUniqueNames(const std::string& name, const std::vector<SafeTensor>& tensors) {
  std::vector<std::string_view> names;
  for (const SafeTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  return twin == names.end() ? OkStatus() : DataLoss("{}: tensor {} appears twice", name, Printable(*twin));
}

}  // namespace

int64_t SafeTensor::elements() const {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

Result<std::vector<SafeTensor>> ParseSafetensors(std::span<const std::byte> file, const std::string& name) {
  uint64_t header_bytes = 0;
  if (file.size() < sizeof(header_bytes))
    return DataLoss("{}: the file has {} bytes, expected at least 8", name, file.size());
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  const uint64_t limit = std::min<uint64_t>(kMaxSafetensorsHeaderBytes, file.size() - sizeof(header_bytes));
  if (header_bytes > limit) {
    return DataLoss("{}: the header claims {} bytes, at most {} fit in the file and its bound", name, header_bytes,
                    limit);
  }
  dom::parser parser;
  dom::object object;
  const char* text = reinterpret_cast<const char*>(file.data()) + sizeof(header_bytes);
  simdjson::error_code error = parser.allocate(std::max<uint64_t>(header_bytes, 1), kMaxDepth);
  if (error == simdjson::SUCCESS) error = parser.parse(text, header_bytes).get(object);
  if (error != simdjson::SUCCESS)
    return DataLoss("{}: the header is not a JSON object ({})", name, simdjson::error_message(error));

  const uint64_t data_begin = sizeof(header_bytes) + header_bytes;
  const HeaderParser header(name, data_begin, file.size() - data_begin);
  std::vector<SafeTensor> tensors;
  for (const dom::key_value_pair field : object) {
    if (field.key == "__metadata__") continue;
    if (tensors.size() == kMaxSafetensorsTensors)
      return DataLoss("{}: the header has more than {} tensors", name, kMaxSafetensorsTensors);
    SafeTensor tensor;
    RETURN_IF_ERROR(header.Tensor(field.key, field.value, tensor));
    tensors.push_back(std::move(tensor));
  }
  RETURN_IF_ERROR(CheckUniqueNames(name, tensors));
  RETURN_IF_ERROR(CheckLayout(name, data_begin, file.size(), tensors));
  return tensors;
}

}  // namespace millrace
