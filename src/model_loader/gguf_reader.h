// GGUF header reader (versions 2 and 3, little endian; format: ggml-org/ggml docs/gguf.md). It allocates nothing that
// the file's length does not pay for: counts, string lengths, array sizes, offsets and sizes are proven against the
// bytes that are there, with checked arithmetic, before use. Keys, strings and arrays stay where they are and are read
// through views.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "model_loader/field_reader.h"

namespace millrace {

// Numbers as in the file.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// One metadata value. Arrays hold scalars or strings; arrays of arrays are refused.
struct GgufValue {
  std::string_view key;
  GgufType type = GgufType::kUint8;  // of the elements, never kArray
  bool is_array = false;
  uint64_t count = 1;                // elements
  std::span<const std::byte> bytes;  // elements back to back; a string is its u64 length and its bytes
};

struct GgufTensor {
  std::string_view name;
  DType dtype = DType::kF32;
  int num_dims = 0;
  std::array<int64_t, 4> dims = {1, 1, 1, 1};  // dims[0] is contiguous; all >= 1
  uint64_t offset = 0;                         // from the start of the file
  uint64_t bytes = 0;

  int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
};

// Bounds of a header; a file beyond them is refused.
inline constexpr uint64_t kMaxGgufKeys = 1 << 16;
inline constexpr uint64_t kMaxGgufTensors = 1 << 16;
inline constexpr uint64_t kMaxGgufNameBytes = 1 << 10;
inline constexpr uint64_t kMaxGgufArray = 1 << 24;
inline constexpr uint64_t kMaxGgufHeaderBytes = 1 << 28;

// Borrows the bytes that it was parsed from. Every element of every array is well formed once Parse has succeeded.
class GgufHeader final : public FieldSource {
 public:
  // `name` starts every error message.
  static Result<GgufHeader> Parse(std::span<const std::byte> file, const std::string& name);

  const GgufValue* Find(std::string_view key) const;
  // Empty (nullopt for FindString) when absent or of another type. FindNumbers converts every element.
  std::optional<std::string_view> FindString(std::string_view key) const;
  std::vector<std::string_view> FindStrings(std::string_view key) const;
  template <typename T>
  std::vector<T> FindNumbers(std::string_view key) const;

  // FieldSource.
  Field Get(std::string_view key) const override;

  const std::vector<GgufValue>& values() const { return values_; }     // sorted by key
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // sorted by offset
  uint64_t data_offset() const { return data_offset_; }

 private:
  std::vector<GgufValue> values_;
  std::vector<GgufTensor> tensors_;
  uint64_t data_offset_ = 0;
};

// Bytes of one element; 0 for strings.
uint64_t GgufTypeBytes(GgufType type);
// The number that GGUF uses for a tensor type, and back; nullopt for types that GGUF lacks (F8_E4M3) or that this build
// does not read.
std::optional<uint32_t> GgufTypeId(DType type);
std::optional<DType> DTypeFromGguf(uint32_t id);

}  // namespace millrace
