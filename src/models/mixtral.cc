// Mixtral (Jiang et al. 2024): Llama's attention, sparse experts in every layer; the two best experts' softmax is
// renormalised.
#include "models/architectures.h"
#include "models/layers/moe.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeMixtral(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  builder.AddRope(config.rope_theta, config.rope_scaling);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), builder.AttentionFor(i))));
    RETURN_IF_ERROR(builder.Add(Moe::Load(builder.loader(), {.prefix = LayerPrefix(i)})));
  }
  return builder.Finish();
}

}  // namespace millrace
