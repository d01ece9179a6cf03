// Identifiers shared by every layer.
#pragma once

#include <cstdint>

#include "base/token.h"

namespace millrace {

using SequenceId = uint64_t;  // unique for the life of an engine, never reused
using RequestId = uint64_t;   // one request makes n sequences (n > 1, beams)
using BlockId = int32_t;      // index of a KV block in the pool; kNullBlock is never read

inline constexpr BlockId kNullBlock = -1;
inline constexpr int kKvBlockTokens = 16;  // tokens per KV block; one AVX-512 register of f32 scores

}  // namespace millrace
