// What every configuration goes through after it is read, whatever its format.
#pragma once

#include <string>

#include "base/status.h"
#include "core/model_config.h"

namespace millrace {

// Bounds of configuration fields, far above any published model, so that products of them fit into 64 bits.
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxWidth = 1 << 20;  // hidden and intermediate sizes
inline constexpr int64_t kMaxLayers = 1 << 10;
inline constexpr int64_t kMaxHeads = 1 << 12;
inline constexpr int64_t kMaxHeadDim = 1 << 12;
inline constexpr int64_t kMaxContext = 1 << 30;
inline constexpr int64_t kMaxExperts = 1 << 12;

// Fills what can be derived (head_dim, num_key_value_heads, rotary_dim, layer_types) and refuses what no model can
// have: heads that do not divide, an odd or too long rotary_dim, rope factors of the wrong length, more experts per
// token than experts, layer lists of the wrong length. `where` starts error messages.
Status FinishConfig(const std::string& where, ModelConfig& config);

}  // namespace millrace
