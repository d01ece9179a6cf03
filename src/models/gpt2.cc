// GPT-2 (Radford et al. 2019): LayerNorm, learned positions, GELU without a gate, biases everywhere.
#include "models/architectures.h"
#include "models/layers/mlp.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeGpt2(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  constexpr auto kLayerNorm = kernels::NormKind::kLayer;
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    AttentionSpec attention = builder.AttentionFor(i);
    attention.norm_kind = kLayerNorm;
    attention.rope_variant = -1;
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), attention)));
    RETURN_IF_ERROR(
        builder.Add(Mlp::Load(builder.loader(), {.prefix = LayerPrefix(i), .norm_kind = kLayerNorm, .gated = false})));
  }
  return builder.Finish(kLayerNorm, /*learned_positions=*/true);
}

}  // namespace millrace
