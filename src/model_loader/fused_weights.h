// Fused and stacked tensors, split into the canonical ones as views.
#pragma once

#include <string>

#include "base/status.h"
#include "core/model_config.h"
#include "model_loader/weight_table.h"

namespace millrace {

// A tensor of all experts, its name holding "experts.*." where an expert's number goes: rows are divided evenly among
// config.num_experts and listed one by one. gate_up_proj stacks are split further into gate_proj and up_proj (gate
// first).
Status AddExpertStack(WeightTensor stack, const ModelConfig& config, WeightTable& table);

// Adds the views that fused tensors of the table offer: qkv_proj, gate_up_proj, and the projections of gated delta nets
// (in_proj_qkvz and in_proj_qkv with in_proj_z offer each other; in_proj_ba offers in_proj_b and in_proj_a). Biases
// too.
Status AddFusedViews(const ModelConfig& config, WeightTable& table);

}  // namespace millrace
