// Qwen3-Next (Qwen team 2025): three gated delta nets for every gated attention, many small experts and a gated shared
// one.
#include "models/architectures.h"
#include "models/layers/gated_delta_net.h"
#include "models/layers/moe.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeQwen3Next(DecoderBuilder& builder) {
  const ModelConfig& config = builder.config();
  builder.AddRope(config.rope_theta, config.rope_scaling);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string prefix = LayerPrefix(i);
    if (config.layer_types[static_cast<size_t>(i)] == LayerType::kLinearAttention) {
      const DecoderBuilder::KvSlot slot = builder.kv_slot(i);
      RETURN_IF_ERROR(builder.Add(GatedDeltaNet::Load(builder.loader(), prefix, slot.group, slot.index)));
    } else {
      AttentionSpec attention = builder.AttentionFor(i);
      attention.qk_norm = true;
      attention.output_gate = true;
      RETURN_IF_ERROR(builder.Add(Attention::Load(builder.loader(), attention)));
    }
    RETURN_IF_ERROR(builder.Add(Moe::Load(builder.loader(), {.prefix = prefix, .shared_expert = true})));
  }
  return builder.Finish();
}

}  // namespace millrace
