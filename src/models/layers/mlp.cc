#include "models/layers/mlp.h"

#include <algorithm>

namespace millrace {

kernels::ActivationKind ActivationOf(const ModelConfig& config) {
  switch (config.hidden_act) {
    case Activation::kSilu:
      return kernels::ActivationKind::kSilu;
    case Activation::kGeluTanh:
      return kernels::ActivationKind::kGeluTanh;
    case Activation::kGeluErf:
      return kernels::ActivationKind::kGeluErf;
    case Activation::kSwigluOai:
      return kernels::ActivationKind::kSwigluOai;
    case Activation::kRelu2:
      return kernels::ActivationKind::kRelu2;
  }
  CHECK(false, "unknown activation");
}

Result<std::unique_ptr<Block>> Mlp::Load(WeightLoader& loader, const MlpSpec& spec) {
  const ModelConfig& config = loader.config();
  std::unique_ptr<Mlp> layer(new Mlp(config, spec));
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const std::string mlp = spec.prefix + ".mlp.";
  if (!spec.pre_norm.empty()) {
    ASSIGN_OR_RETURN(layer->pre_norm_, loader.LoadNorm(spec.prefix + "." + spec.pre_norm, hidden, spec.norm_kind));
  }
  if (!spec.post_norm.empty()) {
    ASSIGN_OR_RETURN(layer->post_norm_, loader.LoadNorm(spec.prefix + "." + spec.post_norm, hidden, spec.norm_kind));
  }
  if (spec.gated) {
    ASSIGN_OR_RETURN(layer->up_,
                     loader.LoadLinear({{mlp + "gate_proj", inner}, {mlp + "up_proj", inner}}, hidden, true));
  } else {
    ASSIGN_OR_RETURN(layer->up_, loader.LoadLinear({{mlp + "up_proj", inner}}, hidden));
  }
  ASSIGN_OR_RETURN(layer->down_, loader.LoadLinear({{mlp + "down_proj", hidden}}, inner));
  return std::unique_ptr<Block>(std::move(layer));
}

void Mlp::Forward(const Step& step, float* x) const {
  const int64_t inner = config_.intermediate_size;
  Workspace::Scope scope(*step.context.workspace);
  float* h = step.context.workspace->Take<float>(step.num_tokens * inner);  // [T, intermediate_size]

  kernels::MlpUpArgs up;
  up.x = x;
  up.x_stride = config_.hidden_size;
  up.num_tokens = step.num_tokens;
  up.pre_norm = pre_norm_.view();
  up.matrix = up_.matrix();
  up.gated = spec_.gated;
  up.activation = ActivationOf(config_);
  up.swiglu_limit = config_.swiglu_limit;
  up.out = h;
  up.out_stride = inner;
  up.next = down_.matrix();
  step.ops.mlp_up(&step.context, &up);

  kernels::LinearArgs down;
  down.x = h;
  down.x_stride = inner;
  down.x_from_mlp_up = true;
  down.num_tokens = step.num_tokens;
  down.matrix = down_.matrix();
  down.post_norm = post_norm_.view();
  down.scale = config_.residual_multiplier;
  down.accumulate = true;
  down.out = x;
  down.out_stride = config_.hidden_size;
  step.ops.linear(&step.context, &down);
}

int64_t Mlp::ScratchBytes(int64_t max_tokens) const {
  return max_tokens * config_.intermediate_size * static_cast<int64_t>(sizeof(float)) + 128;
}

void Mlp::AddToQuery(kernels::WorkspaceQuery* query) const {
  query->max_k = std::max({query->max_k, up_.in_features(), down_.in_features()});
  query->max_n = std::max({query->max_n, up_.out_features(), down_.out_features()});
  query->max_intermediate = std::max<int64_t>(query->max_intermediate, config_.intermediate_size);
}

}  // namespace millrace
