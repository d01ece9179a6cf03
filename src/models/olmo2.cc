// OLMo 2 (AI2 2024): norms only on the blocks' outputs; queries and keys are normalised over all heads together.
#include "models/architectures.h"
#include "models/layers/mlp.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeOlmo2(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  builder.AddRope(config.rope_theta, config.rope_scaling);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    AttentionSpec attention = builder.AttentionFor(i);
    attention.pre_norm = "";
    attention.post_norm = "post_attention_layernorm";
    attention.qk_norm_whole = true;
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), attention)));
    RETURN_IF_ERROR(builder.Add(Mlp::Load(
        builder.loader(), {.prefix = LayerPrefix(i), .pre_norm = "", .post_norm = "post_feedforward_layernorm"})));
  }
  return builder.Finish();
}

}  // namespace millrace
