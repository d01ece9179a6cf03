// Attention: norm, QKV projection, q/k norms, rope, paged attention, output projection, optional norm, residual.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/layers/block.h"
#include "models/layers/linear.h"

namespace millrace {

// What differs between architectures, filled by the model file; the checkpoint says which biases exist.
struct AttentionSpec {
  std::string prefix;                        // "model.layers.3"
  std::string pre_norm = "input_layernorm";  // below prefix; "": none
  std::string post_norm;                     // on the output, before the residual; "": none
  kernels::NormKind norm_kind = kernels::NormKind::kRms;
  bool qk_norm = false;        // self_attn.{q,k}_norm per head
  bool qk_norm_whole = false;  // OLMo 2: over all heads together
  bool output_gate = false;    // Qwen3-Next: q_proj also gives a gate per head
  bool sinks = false;          // GPT-OSS
  int rope_variant = 0;        // -1: no rope
  int window = 0;              // 0: full attention
  float scale = 0.0f;
  int kv_group = 0;
  int64_t kv_layer_offset = 0;  // of this layer inside the group's block
};

class Attention : public Block {
 public:
  static Result<std::unique_ptr<Block>> Load(WeightLoader& loader, const AttentionSpec& spec);

  void Forward(const Step& step, float* x) const override;
  int64_t ScratchBytes(int64_t max_tokens) const override;
  void AddToQuery(kernels::WorkspaceQuery* query) const override;
  int64_t weight_bytes() const override { return qkv_.bytes() + output_.bytes(); }

 private:
  Attention(const ModelConfig& config, const AttentionSpec& spec) : config_(config), spec_(spec) {}
  Status LoadProjections(WeightLoader& loader);

  const ModelConfig& config_;
  const AttentionSpec spec_;
  NormLayer pre_norm_, post_norm_, q_norm_, k_norm_;
  Linear qkv_;  // q, k, v, and the output gate when there is one
  Linear output_;
  Buffer sinks_;  // [num_heads] f32, empty without
};

}  // namespace millrace
