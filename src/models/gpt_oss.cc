// GPT-OSS (OpenAI 2025): attention sinks, alternating window and full layers, MXFP4 experts with a clamped SwiGLU and
// biases.
#include "models/architectures.h"
#include "models/layers/moe.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeGptOss(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  builder.AddRope(config.rope_theta, config.rope_scaling);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    AttentionSpec attention = builder.AttentionFor(i);
    attention.sinks = true;
    RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), attention)));
    RETURN_IF_ERROR(builder.Add(
        Moe::Load(builder.loader(), {.prefix = LayerPrefix(i), .router = kernels::RouterKind::kTopKSoftmax})));
  }
  return builder.Finish();
}

}  // namespace millrace
