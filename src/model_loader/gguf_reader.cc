#include "model_loader/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checked_math.h"
#include "model_loader/printable.h"

namespace millrace {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMinValueBytes = 8 + 4 + 1;           // key length, type, the smallest value
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;  // name length, rank, one dimension, type, offset

struct TensorTypeName {
  uint32_t id;
  const char* name;
};

// Types that exist in GGUF and are not read; named in the error message.
constexpr TensorTypeName kForeignTypes[] = {
    {9, "Q8_1"},   {15, "Q8_K"},       {16, "IQ2_XXS"},    {17, "IQ2_XS"},     {18, "IQ3_XXS"},
    {19, "IQ1_S"}, {21, "IQ3_S"},      {22, "IQ2_S"},      {25, "I16"},        {28, "F64"},
    {29, "IQ1_M"}, {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"},
    {35, "TQ2_0"}, {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"},
};

struct TensorTypeId {
  uint32_t id;
  DType type;
};

constexpr TensorTypeId kTypes[] = {
    {0, DType::kF32},    {1, DType::kF16},   {30, DType::kBF16}, {2, DType::kQ4_0},    {3, DType::kQ4_1},
    {6, DType::kQ5_0},   {7, DType::kQ5_1},  {8, DType::kQ8_0},  {10, DType::kQ2_K},   {11, DType::kQ3_K},
    {12, DType::kQ4_K},  {13, DType::kQ5_K}, {14, DType::kQ6_K}, {20, DType::kIQ4_NL}, {23, DType::kIQ4_XS},
    {39, DType::kMXFP4}, {24, DType::kI8},   {26, DType::kI32},  {27, DType::kI64},
};

// Reads the header front to back; every read is checked against what is left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  template <typename T>
  Status Read(std::string_view what, T& value) {
    if (left() < sizeof(T)) return Truncated(what);
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return OkStatus();
  }

  Status ReadBytes(std::string_view what, uint64_t size, std::span<const std::byte>& out) {
    if (size > left()) return Truncated(what);
    out = bytes_.subspan(position_, size);
    position_ += size;
    return OkStatus();
  }

  Status ReadName(std::string_view what, std::string_view& out) {
    uint64_t length = 0;
    RETURN_IF_ERROR(Read(what, length));
    if (length == 0 || length > kMaxGgufNameBytes) {
      return DataLoss("{}: {} has a length of {} bytes, expected 1 to {}", name_, what, length, kMaxGgufNameBytes);
    }
    std::span<const std::byte> bytes;
    RETURN_IF_ERROR(ReadBytes(what, length, bytes));
    out = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    return OkStatus();
  }

  Status Truncated(std::string_view what) const {
    return DataLoss("{}: {} at byte {} does not fit in the {} bytes of the file", name_, what, position_,
                    bytes_.size());
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  uint64_t position_ = 0;
};

// Steps over one string, or over `count` strings.
Status SkipStrings(Cursor& cursor, std::string_view key, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t length = 0;
    std::span<const std::byte> bytes;
    RETURN_IF_ERROR(cursor.Read(key, length));
    RETURN_IF_ERROR(cursor.ReadBytes(key, length, bytes));
  }
  return OkStatus();
}

Status ReadValue(Cursor& cursor, const std::string& name, std::span<const std::byte> file, GgufValue& value) {
  RETURN_IF_ERROR(cursor.ReadName("a metadata key", value.key));
  const std::string what = fmt::format("metadata {}", Printable(value.key));
  uint32_t type = 0;
  RETURN_IF_ERROR(cursor.Read(what, type));
  if (type == static_cast<uint32_t>(GgufType::kArray)) {
    value.is_array = true;
    RETURN_IF_ERROR(cursor.Read(what, type));
    RETURN_IF_ERROR(cursor.Read(what, value.count));
    if (type == static_cast<uint32_t>(GgufType::kArray))
      return DataLoss("{}: {} is an array of arrays, which is not supported", name, what);
    if (value.count > kMaxGgufArray) {
      return DataLoss("{}: {} claims {} elements, at most {} are accepted", name, what, value.count, kMaxGgufArray);
    }
  }
  if (type > static_cast<uint32_t>(GgufType::kFloat64))
    return DataLoss("{}: {} has the unknown value type {}", name, what, type);
  value.type = static_cast<GgufType>(type);
  const uint64_t begin = cursor.position();
  if (value.type == GgufType::kString) {
    if (value.count > cursor.left() / sizeof(uint64_t)) return cursor.Truncated(what);
    RETURN_IF_ERROR(SkipStrings(cursor, what, value.count));
  } else {
    std::span<const std::byte> bytes;
    RETURN_IF_ERROR(cursor.ReadBytes(what, value.count * GgufTypeBytes(value.type), bytes));
  }
  if (cursor.position() > kMaxGgufHeaderBytes) {
    return DataLoss("{}: the metadata is longer than {} bytes at {}", name, kMaxGgufHeaderBytes, what);
  }
  value.bytes = file.subspan(begin, cursor.position() - begin);
  return OkStatus();
}

Result<DType> ReadTensorType(uint32_t id, const std::string& name, const std::string& what) {
  if (const std::optional<DType> type = DTypeFromGguf(id)) return *type;
  for (const TensorTypeName& foreign : kForeignTypes) {
    if (foreign.id == id)
      return Unsupported("{}: {} has type {}, which this build does not read; convert the file to Q4_K_M or Q8_0", name,
                         what, foreign.name);
  }
  return DataLoss("{}: {} has the unknown type number {}", name, what, id);
}

// Reads one tensor's description; offset is still relative to the data section.
Status ReadTensor(Cursor& cursor, const std::string& name, GgufTensor& tensor) {
  RETURN_IF_ERROR(cursor.ReadName("a tensor name", tensor.name));
  if (!IsPlainName(tensor.name)) return DataLoss("{}: tensor name {} is not plain ASCII", name, Printable(tensor.name));
  const std::string what = fmt::format("tensor {}", Printable(tensor.name));
  uint32_t rank = 0, type = 0;
  RETURN_IF_ERROR(cursor.Read(what, rank));
  if (rank < 1 || rank > tensor.dims.size())
    return DataLoss("{}: {} has {} dimensions, expected 1 to 4", name, what, rank);
  tensor.num_dims = static_cast<int>(rank);
  int64_t elements = 1;
  for (uint32_t d = 0; d < rank; ++d) {
    RETURN_IF_ERROR(cursor.Read(what, tensor.dims[d]));
    if (tensor.dims[d] < 1)
      return DataLoss("{}: dimension {} of {} is {}, expected at least 1", name, d, what, tensor.dims[d]);
    const std::optional<int64_t> product = CheckedMul(elements, tensor.dims[d]);
    if (!product) return DataLoss("{}: the number of elements of {} overflows", name, what);
    elements = *product;
  }
  RETURN_IF_ERROR(cursor.Read(what, type));
  ASSIGN_OR_RETURN(tensor.dtype, ReadTensorType(type, name, what));
  RETURN_IF_ERROR(cursor.Read(what, tensor.offset));
  const DTypeInfo& info = GetDTypeInfo(tensor.dtype);
  if (tensor.dims[0] % info.block_elems != 0) {
    return DataLoss("{}: rows of {} have {} values, expected a multiple of {} for {}", name, what, tensor.dims[0],
                    info.block_elems, info.name);
  }
  const std::optional<int64_t> bytes = CheckedMul(elements / info.block_elems, info.block_bytes);
  if (!bytes) return DataLoss("{}: the size of {} overflows", name, what);
  tensor.bytes = static_cast<uint64_t>(*bytes);
  return OkStatus();
}

// Turns offsets into file offsets and proves that tensors are aligned, inside the file and disjoint. Sorts by offset.
Status PlaceTensors(const std::string& name, uint64_t file_bytes, uint64_t data_offset, uint64_t alignment,
                    std::vector<GgufTensor>& tensors) {
  for (GgufTensor& tensor : tensors) {
    if (tensor.offset % alignment != 0) {
      return DataLoss("{}: tensor {} is at offset {}, expected a multiple of {}", name, Printable(tensor.name),
                      tensor.offset, alignment);
    }
    const std::optional<uint64_t> offset = CheckedAdd(tensor.offset, data_offset);
    if (!offset || !RangeFits(*offset, tensor.bytes, file_bytes)) {
      return DataLoss("{}: tensor {} needs {} bytes at offset {}, the file has {} bytes", name, Printable(tensor.name),
                      tensor.bytes, tensor.offset, file_bytes);
    }
    tensor.offset = *offset;
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const GgufTensor& a, const GgufTensor& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i - 1].offset + tensors[i - 1].bytes > tensors[i].offset) {
      return DataLoss("{}: tensors {} and {} overlap", name, Printable(tensors[i - 1].name),
                      Printable(tensors[i].name));
    }
  }
  return OkStatus();
}

Status CheckUniqueNames(const std::string& name, const std::vector<GgufTensor>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const GgufTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  return twin == names.end() ? OkStatus() : DataLoss("{}: tensor {} appears twice", name, Printable(*twin));
}

// Magic, version and the two counts.
Status ReadPreamble(Cursor& cursor, const std::string& name, uint64_t& num_tensors, uint64_t& num_values) {
  uint32_t magic = 0, version = 0;
  RETURN_IF_ERROR(cursor.Read("the magic number", magic));
  if (magic != kMagic) return DataLoss("{}: the file does not start with \"GGUF\"", name);
  RETURN_IF_ERROR(cursor.Read("the version", version));
  if (version == __builtin_bswap32(2) || version == __builtin_bswap32(3))
    return Unsupported("{}: the file is big-endian, only little-endian files are read", name);
  if (version != 2 && version != 3)
    return Unsupported("{}: GGUF version {} is not supported, expected 2 or 3", name, version);
  RETURN_IF_ERROR(cursor.Read("the tensor count", num_tensors));
  RETURN_IF_ERROR(cursor.Read("the metadata count", num_values));
  if (num_values > kMaxGgufKeys || num_values > cursor.left() / kMinValueBytes) {
    return DataLoss("{}: the header claims {} metadata values, which {} bytes cannot hold (limit {})", name, num_values,
                    cursor.left(), kMaxGgufKeys);
  }
  if (num_tensors > kMaxGgufTensors || num_tensors > cursor.left() / kMinTensorBytes) {
    return DataLoss("{}: the header claims {} tensors, which {} bytes cannot hold (limit {})", name, num_tensors,
                    cursor.left(), kMaxGgufTensors);
  }
  return OkStatus();
}

}  // namespace

std::optional<uint32_t> GgufTypeId(DType type) {
  for (const TensorTypeId& entry : kTypes) {
    if (entry.type == type) return entry.id;
  }
  return std::nullopt;
}

std::optional<DType> DTypeFromGguf(uint32_t id) {
  for (const TensorTypeId& entry : kTypes) {
    if (entry.id == id) return entry.type;
  }
  return std::nullopt;
}

Result<GgufHeader> GgufHeader::Parse(std::span<const std::byte> file, const std::string& name) {
  Cursor cursor(file, name);
  uint64_t num_tensors = 0, num_values = 0;
  RETURN_IF_ERROR(ReadPreamble(cursor, name, num_tensors, num_values));
  GgufHeader header;
  for (uint64_t i = 0; i < num_values; ++i) {
    GgufValue value;
    RETURN_IF_ERROR(ReadValue(cursor, name, file, value));
    header.values_.push_back(value);
  }
  const auto by_key = [](const GgufValue& a, const GgufValue& b) { return a.key < b.key; };
  std::sort(header.values_.begin(), header.values_.end(), by_key);
  for (size_t i = 1; i < header.values_.size(); ++i) {
    if (header.values_[i - 1].key == header.values_[i].key) {
      return DataLoss("{}: metadata {} appears twice", name, Printable(header.values_[i].key));
    }
  }
  FieldReader general(header, name);
  const uint64_t alignment = static_cast<uint64_t>(general.Int("general.alignment", kDefaultAlignment, 8, 1 << 20));
  RETURN_IF_ERROR(general.status());
  if (!std::has_single_bit(alignment))
    return DataLoss("{}: field general.alignment is {}, expected a power of two", name, alignment);

  for (uint64_t i = 0; i < num_tensors; ++i) {
    GgufTensor tensor;
    RETURN_IF_ERROR(ReadTensor(cursor, name, tensor));
    header.tensors_.push_back(tensor);
  }
  RETURN_IF_ERROR(CheckUniqueNames(name, header.tensors_));
  header.data_offset_ = RoundUp(cursor.position(), alignment);
  RETURN_IF_ERROR(PlaceTensors(name, file.size(), header.data_offset_, alignment, header.tensors_));
  return header;
}

}  // namespace millrace
