// K-quants as the GPU's formats want them: whole numbers with a scale and a min for every 16 values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/quant_blocks.h"

namespace millrace::cuda {

// w[i] = d * scale[i / 16] * q[i] - dmin * min[i / 16], as base/quant_blocks.h has it for the type.
struct KBlock {
  uint16_t d = 0, dmin = 0;  // f16
  int8_t scale[kSuperBlock / 16] = {};
  uint8_t min[kSuperBlock / 16] = {};
  int8_t q[kSuperBlock] = {};
};

constexpr bool IsKBlockType(DType type) {
  return type == DType::kQ4_K || type == DType::kQ5_K || type == DType::kQ6_K;
}

// One block of such a type; `source` needs no alignment.
KBlock ReadKBlock(DType type, const std::byte* source);

}  // namespace millrace::cuda
