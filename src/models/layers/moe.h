// Moe: norm, router, the chosen experts' gated MLPs weighted by the router, optional shared expert, residual.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/layers/block.h"
#include "models/layers/linear.h"

namespace millrace {

struct MoeSpec {
  std::string prefix;                                 // "model.layers.3"
  std::string pre_norm = "post_attention_layernorm";  // below prefix
  kernels::RouterKind router = kernels::RouterKind::kSoftmaxTopK;
  bool shared_expert = false;
};

class Moe : public Block {
 public:
  static Result<std::unique_ptr<Block>> Load(WeightLoader& loader, const MoeSpec& spec);

  void Forward(const Step& step, float* x) const override;
  int64_t ScratchBytes(int64_t) const override { return 0; }
  void AddToQuery(kernels::WorkspaceQuery* query) const override;
  // Bytes that one token reads: the router, its experts and the shared expert.
  int64_t weight_bytes() const override;

 private:
  Moe(const ModelConfig& config, const MoeSpec& spec) : config_(config), spec_(spec) {}
  Status LoadShared(WeightLoader& loader);

  const ModelConfig& config_;
  const MoeSpec spec_;
  NormLayer pre_norm_;
  Linear router_;
  std::vector<Linear> gate_up_, down_;                                    // [num_experts]
  std::vector<const kernels::PackedMatrix*> gate_up_views_, down_views_;  // the same, as kernels take them
  Linear shared_gate_up_, shared_down_, shared_gate_;
};

}  // namespace millrace
