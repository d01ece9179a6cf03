// Rotary position embedding frequencies with every scaling in use. Formulas: transformers' modeling_rope_utils.py,
// which cites "YaRN" (Peng et al. 2023), "LongRoPE" (Ding et al. 2024) and the Llama 3.1 release for the others.
#pragma once

#include "core/model_config.h"
#include "models/model.h"

namespace millrace {

// Frequencies of rotary_dim / 2 pairs. What depends on length (dynamic, longrope) is fixed here by max_model_len, so
// that a token's keys never depend on how long its sequence has become.
Model::RopeVariant MakeRopeVariant(const ModelConfig& config, float theta, const RopeScaling& scaling,
                                   int max_model_len);

}  // namespace millrace
