#include "model_loader/config_check.h"

namespace millrace {
namespace {

Status CheckFactors(const std::string& where, const char* field, const std::vector<float>& factors, int rotary_dim) {
  if (factors.empty() || factors.size() == static_cast<size_t>(rotary_dim) / 2) return OkStatus();
  return InvalidArgument("{}: {} has {} entries, expected {} (half of the rotary dimensions)", where, field,
                         factors.size(), rotary_dim / 2);
}

Status CheckRope(const std::string& where, const ModelConfig& config) {
  if (config.rotary_dim < 0 || config.rotary_dim % 2 != 0 || config.rotary_dim > config.head_dim) {
    return InvalidArgument("{}: {} rotary dimensions do not fit into a head of {}, expected an even number up to it",
                           where, config.rotary_dim, config.head_dim);
  }
  if (!(config.rope_theta > 0.0f) || !(config.rope_local_theta >= 0.0f)) {
    return InvalidArgument("{}: the rope base is {}, expected a positive number", where, config.rope_theta);
  }
  const RopeScaling& rope = config.rope_scaling;
  if (!(rope.factor > 0.0f))
    return InvalidArgument("{}: the rope scaling factor is {}, expected a positive number", where, rope.factor);
  if (rope.type == RopeScalingType::kLongRope && (rope.short_factor.empty() || rope.long_factor.empty())) {
    return InvalidArgument("{}: longrope needs short_factor and long_factor", where);
  }
  RETURN_IF_ERROR(CheckFactors(where, "short_factor", rope.short_factor, config.rotary_dim));
  RETURN_IF_ERROR(CheckFactors(where, "long_factor", rope.long_factor, config.rotary_dim));
  return CheckFactors(where, "rope_freqs", rope.freq_factors, config.rotary_dim);
}

Status CheckLinearAttention(const std::string& where, const ModelConfig& config) {
  const int key_heads = config.linear_num_key_heads, value_heads = config.linear_num_value_heads;
  if (key_heads < 1 || value_heads < 1 || value_heads % key_heads != 0) {
    return InvalidArgument("{}: {} value heads of linear attention are not a multiple of {} key heads", where,
                           value_heads, key_heads);
  }
  if (config.linear_key_head_dim < 1 || config.linear_value_head_dim < 1 || config.linear_conv_kernel_dim < 1) {
    return InvalidArgument("{}: linear attention needs its head and kernel sizes", where);
  }
  return OkStatus();
}

Status CheckExperts(const std::string& where, const ModelConfig& config) {
  if (config.num_experts_per_tok < 1 || config.num_experts_per_tok > config.num_experts) {
    return InvalidArgument("{}: {} experts per token, expected 1 to {}", where, config.num_experts_per_tok,
                           config.num_experts);
  }
  if (config.moe_intermediate_size < 1) return InvalidArgument("{}: the width of the experts is missing", where);
  return OkStatus();
}

}  // namespace

Status FinishConfig(const std::string& where, ModelConfig& config) {
  if (config.num_key_value_heads == 0) config.num_key_value_heads = config.num_attention_heads;
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    return InvalidArgument("{}: {} attention heads are not a multiple of {} key-value heads", where,
                           config.num_attention_heads, config.num_key_value_heads);
  }
  if (config.head_dim == 0) {
    if (config.hidden_size % config.num_attention_heads != 0) {
      return InvalidArgument("{}: hidden size {} is not a multiple of {} attention heads", where, config.hidden_size,
                             config.num_attention_heads);
    }
    config.head_dim = config.hidden_size / config.num_attention_heads;
  }
  if (config.head_dim > kMaxHeadDim)
    return InvalidArgument("{}: head size {} is above {}", where, config.head_dim, kMaxHeadDim);
  const size_t layers = static_cast<size_t>(config.num_hidden_layers);
  const bool windowed = config.sliding_window > 0;
  if (config.layer_types.empty())
    config.layer_types.assign(layers, windowed ? LayerType::kSlidingAttention : LayerType::kFullAttention);
  if (config.layer_types.size() != layers) {
    return InvalidArgument("{}: layer_types has {} entries for {} layers", where, config.layer_types.size(), layers);
  }
  if (!config.no_rope_layers.empty() && config.no_rope_layers.size() != layers) {
    return InvalidArgument("{}: no_rope_layers has {} entries for {} layers", where, config.no_rope_layers.size(),
                           layers);
  }
  for (const LayerType type : config.layer_types) {
    if (type == LayerType::kSlidingAttention && !windowed)
      return InvalidArgument("{}: a sliding layer needs sliding_window", where);
    if (type == LayerType::kLinearAttention) RETURN_IF_ERROR(CheckLinearAttention(where, config));
  }
  if (config.num_experts > 0) RETURN_IF_ERROR(CheckExperts(where, config));
  if (!(config.rms_norm_eps > 0.0f))
    return InvalidArgument("{}: the norm epsilon is {}, expected a positive number", where, config.rms_norm_eps);
  if (config.logits_scaling == 0.0f) return InvalidArgument("{}: logits_scaling is 0", where);
  return CheckRope(where, config);
}

}  // namespace millrace
