// Qwen3 and Qwen3-MoE (Qwen team 2025): RMSNorm on every query and key head before rope.
#include <algorithm>

#include "models/architectures.h"
#include "models/layers/mlp.h"
#include "models/layers/moe.h"

namespace millrace {
namespace {

bool IsSparse(const ModelConfig& config, int layer) {
  const auto& dense = config.mlp_only_layers;
  return config.num_experts > 0 && (layer + 1) % config.decoder_sparse_step == 0 &&
         std::find(dense.begin(), dense.end(), layer) == dense.end();
}

}  // namespace

Result<std::unique_ptr<Model>> MakeQwen3(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  builder.AddRope(config.rope_theta, config.rope_scaling);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    AttentionSpec attention = builder.AttentionFor(i);
    attention.qk_norm = true;
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), attention)));
    if (IsSparse(config, i)) {
      RETURN_IF_ERROR(builder.Add(Moe::Load(builder.loader(), {.prefix = LayerPrefix(i)})));
    } else {
      RETURN_IF_ERROR(builder.Add(Mlp::Load(builder.loader(), {.prefix = LayerPrefix(i)})));
    }
  }
  return builder.Finish();
}

}  // namespace millrace
