// Gemma 2 (2024) and Gemma 3 text (2025): norms before and after each block, GELU, scaled embeddings, local and global
// layers. Gemma 2 caps attention and final logits; Gemma 3 normalises queries and keys and gives local layers their own
// rope base.
#include "models/architectures.h"
#include "models/layers/mlp.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeGemma(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  const bool gemma3 = config.model_type == "gemma3_text";
  const int global_rope = builder.AddRope(config.rope_theta, config.rope_scaling);
  const int local_rope = config.rope_local_theta > 0.0f ? builder.AddRope(config.rope_local_theta, {}) : global_rope;
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    AttentionSpec attention = builder.AttentionFor(i);
    attention.post_norm = "post_attention_layernorm";
    attention.qk_norm = gemma3;
    attention.rope_variant = attention.window > 0 ? local_rope : global_rope;
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), attention)));
    RETURN_IF_ERROR(builder.Add(Mlp::Load(builder.loader(), {.prefix = LayerPrefix(i),
                                                             .pre_norm = "pre_feedforward_layernorm",
                                                             .post_norm = "post_feedforward_layernorm"})));
  }
  return builder.Finish();
}

}  // namespace millrace
