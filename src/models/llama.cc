// Llama 1/2/3.x (Touvron et al. 2023) and the models that differ from it only by config: Mistral (sliding window),
// Qwen2/2.5 (QKV bias), Phi-3/4 (fused projections, longrope), SmolLM 1-3 (layers without rope), Granite 3 (scalar
// multipliers).
#include "models/architectures.h"
#include "models/layers/mlp.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeLlama(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  builder.AddRope(config.rope_theta, config.rope_scaling);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), builder.AttentionFor(i))));
    RETURN_IF_ERROR(builder.Add(Mlp::Load(builder.loader(), {.prefix = LayerPrefix(i)})));
  }
  return builder.Finish();
}

}  // namespace millrace
