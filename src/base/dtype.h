// Element and block types of tensors. Quantised types store groups of `block_elems` values in `block_bytes` bytes with
// the layout of GGUF (ggml-common.h of llama.cpp is the published definition); base/quant_blocks.h has the structs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kI8,
  kI32,
  kI64,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kCount,
};

struct DTypeInfo {
  const char* name;     // as in GGUF file names: "F16", "Q4_K"
  int64_t block_elems;  // 1 for plain types
  int64_t block_bytes;
};

const DTypeInfo& GetDTypeInfo(DType type);
inline const char* DTypeName(DType type) {
  return GetDTypeInfo(type).name;
}
inline bool IsQuantised(DType type) {
  return GetDTypeInfo(type).block_elems > 1;
}

// Case-insensitive ("q8_0", "bf16"); nullopt for an unknown name.
std::optional<DType> ParseDType(std::string_view name);

// Bytes of a row of `elems` values; elems must be a multiple of block_elems (callers check file input first).
int64_t RowBytes(DType type, int64_t elems);

}  // namespace millrace
