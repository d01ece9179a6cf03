// Mlp: norm, gate/up projections with activation (or up alone), down projection, optional norm, residual.
#pragma once

#include <memory>
#include <string>

#include "models/layers/block.h"
#include "models/layers/linear.h"

namespace millrace {

struct MlpSpec {
  std::string prefix;                                 // "model.layers.3"
  std::string pre_norm = "post_attention_layernorm";  // below prefix; "": none
  std::string post_norm;                              // on the output, before the residual; "": none
  kernels::NormKind norm_kind = kernels::NormKind::kRms;
  bool gated = true;
};

class Mlp : public Block {
 public:
  static Result<std::unique_ptr<Block>> Load(WeightLoader& loader, const MlpSpec& spec);

  void Forward(const Step& step, float* x) const override;
  int64_t ScratchBytes(int64_t max_tokens) const override;
  void AddToQuery(kernels::WorkspaceQuery* query) const override;
  int64_t weight_bytes() const override { return up_.bytes() + down_.bytes(); }

 private:
  Mlp(const ModelConfig& config, const MlpSpec& spec) : config_(config), spec_(spec) {}

  const ModelConfig& config_;
  const MlpSpec spec_;
  NormLayer pre_norm_, post_norm_;
  Linear up_;  // gate and up, or up alone
  Linear down_;
};

// The kernels' name of a config's activation.
kernels::ActivationKind ActivationOf(const ModelConfig& config);

}  // namespace millrace
