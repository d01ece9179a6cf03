// safetensors header reader (format: huggingface/safetensors README: u64 header length, JSON, data). Names, types,
// shapes and offsets are proven against the file's length; tensors must not overlap and must cover the data without
// holes, as the reference reader demands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"

namespace millrace {

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 8 << 20;
inline constexpr size_t kMaxSafetensorsTensors = 1 << 16;
inline constexpr size_t kMaxSafetensorsRank = 8;

struct SafeTensor {
  std::string name;
  std::string type_name;       // "BF16", as in the file
  std::optional<DType> dtype;  // nullopt: a valid type that this build has no use for; U8 reads as kI8
  std::vector<int64_t> shape;  // all >= 1; empty for a scalar
  uint64_t offset = 0;         // from the start of the file
  uint64_t bytes = 0;

  int64_t elements() const;
};

// The tensors of a file, sorted by offset. `name` starts every error message.
Result<std::vector<SafeTensor>> ParseSafetensors(std::span<const std::byte> file, const std::string& name);

}  // namespace millrace
