#include "models/layers/moe.h"

#include <algorithm>

#include "models/layers/mlp.h"

namespace millrace {

Result<std::unique_ptr<Block>> Moe::Load(WeightLoader& loader, const MoeSpec& spec) {
  if (loader.ops().moe == nullptr)
    return Unsupported("device {} has no mixture-of-experts layer yet", loader.ops().device);
  const ModelConfig& config = loader.config();
  std::unique_ptr<Moe> layer(new Moe(config, spec));
  const int64_t hidden = config.hidden_size, inner = config.moe_intermediate_size;
  const std::string mlp = spec.prefix + ".mlp.";
  ASSIGN_OR_RETURN(layer->pre_norm_, loader.LoadNorm(spec.prefix + "." + spec.pre_norm, hidden));
  ASSIGN_OR_RETURN(layer->router_, loader.LoadLinear({{mlp + "gate", config.num_experts}}, hidden));
  for (int e = 0; e < config.num_experts; ++e) {
    const std::string expert = fmt::format("{}experts.{}.", mlp, e);
    ASSIGN_OR_RETURN(Linear gate_up,
                     loader.LoadLinear({{expert + "gate_proj", inner}, {expert + "up_proj", inner}}, hidden, true));
    ASSIGN_OR_RETURN(Linear down, loader.LoadLinear({{expert + "down_proj", hidden}}, inner));
    layer->gate_up_views_.push_back(gate_up.matrix());
    layer->down_views_.push_back(down.matrix());
    layer->gate_up_.push_back(std::move(gate_up));
    layer->down_.push_back(std::move(down));
  }
  if (spec.shared_expert) RETURN_IF_ERROR(layer->LoadShared(loader));
  return std::unique_ptr<Block>(std::move(layer));
}

Status Moe::LoadShared(WeightLoader& loader) {
  const int64_t hidden = config_.hidden_size, inner = config_.shared_expert_intermediate_size;
  const std::string shared = spec_.prefix + ".mlp.shared_expert.";
  ASSIGN_OR_RETURN(shared_gate_up_,
                   loader.LoadLinear({{shared + "gate_proj", inner}, {shared + "up_proj", inner}}, hidden, true));
  ASSIGN_OR_RETURN(shared_down_, loader.LoadLinear({{shared + "down_proj", hidden}}, inner));
  const std::string gate = spec_.prefix + ".mlp.shared_expert_gate";
  if (loader.Has(gate + ".weight")) {
    ASSIGN_OR_RETURN(shared_gate_, loader.LoadLinear({{gate, 1}}, hidden));
  }
  return OkStatus();
}

void Moe::Forward(const Step& step, float* x) const {
  kernels::MoeArgs args;
  args.x = x;
  args.num_tokens = step.num_tokens;
  args.hidden = config_.hidden_size;
  args.pre_norm = pre_norm_.view();
  args.router = router_.matrix();
  args.router_kind = spec_.router;
  args.norm_topk_prob = config_.norm_topk_prob;
  args.num_experts = config_.num_experts;
  args.num_experts_per_tok = config_.num_experts_per_tok;
  args.gate_up = gate_up_views_.data();
  args.down = down_views_.data();
  args.intermediate = config_.moe_intermediate_size;
  args.activation = ActivationOf(config_);
  args.swiglu_limit = config_.swiglu_limit;
  args.shared_gate_up = shared_gate_up_.matrix();
  args.shared_down = shared_down_.matrix();
  args.shared_intermediate = config_.shared_expert_intermediate_size;
  args.shared_expert_gate = shared_gate_.matrix();
  args.scale = config_.residual_multiplier;
  step.ops.moe(&step.context, &args);
}

void Moe::AddToQuery(kernels::WorkspaceQuery* query) const {
  query->max_k = std::max<int64_t>(
      {query->max_k, config_.hidden_size, config_.moe_intermediate_size, config_.shared_expert_intermediate_size});
  query->max_n = std::max<int64_t>({query->max_n, config_.hidden_size, 2 * config_.moe_intermediate_size,
                                    2 * config_.shared_expert_intermediate_size, config_.num_experts});
  query->max_intermediate = std::max<int64_t>(
      {query->max_intermediate, config_.moe_intermediate_size, config_.shared_expert_intermediate_size});
  query->num_experts = std::max(query->num_experts, config_.num_experts);
  query->num_experts_per_tok = std::max(query->num_experts_per_tok, config_.num_experts_per_tok);
}

int64_t Moe::weight_bytes() const {
  const int64_t expert = gate_up_.empty() ? 0 : gate_up_[0].bytes() + down_[0].bytes();
  return router_.bytes() + config_.num_experts_per_tok * expert + shared_gate_up_.bytes() + shared_down_.bytes();
}

}  // namespace millrace
