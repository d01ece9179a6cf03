#include "model_loader/synth/layout.h"

#include <cmath>

#include "base/status.h"

namespace millrace {
namespace {

constexpr int kConvKernel = 4, kDeltaKeyHeads = 2, kDeltaValueHeads = 4, kDeltaHeadDim = 64, kFullInterval = 4;
constexpr float kOriginalContext = 8192.0f;  // llama3 rope scaling

class Layout {
 public:
  explicit Layout(const SynthShape& shape) : s_(shape) {}
  std::vector<SynthTensor> Build();

 private:
  void Matrix(const std::string& name, int64_t cols, int64_t rows) { Random(name + ".weight", {cols, rows}); }
  void Random(const std::string& name, std::vector<int64_t> dims) {
    const float sigma = 1.0f / std::sqrt(static_cast<float>(dims[0]));
    tensors_.push_back({name, std::move(dims), SynthTensor::Fill::kRandom, sigma, {}});
  }
  void Constant(const std::string& name, std::vector<int64_t> dims, float value) {
    tensors_.push_back({name, std::move(dims), SynthTensor::Fill::kConstant, value, {}});
  }
  void Norm(const std::string& name, int64_t size) {
    Constant(name + ".weight", {size}, 1.0f);
    if (s_.is("gpt2")) Constant(name + ".bias", {size}, 0.0f);
  }
  void Bias(const std::string& name, int64_t size) { Constant(name + ".bias", {size}, 0.01f); }

  void RopeFactors();
  void Attention(const std::string& blk);
  void DeltaNet(const std::string& blk);
  void Dense(const std::string& blk);
  void Experts(const std::string& blk);

  const SynthShape& s_;
  std::vector<SynthTensor> tensors_;
};

// Divisors of the frequencies of llama3 scaling, as transformers computes them.
void Layout::RopeFactors() {
  if (s_.llama3_factor == 0.0f) return;
  std::vector<float> factors;
  for (int i = 0; i < s_.head_dim / 2; ++i) {
    const double frequency = std::pow(static_cast<double>(s_.rope_theta), -2.0 * i / s_.head_dim);
    const double wavelength = 2.0 * M_PI / frequency;
    const double smooth = std::min(1.0, std::max(0.0, (kOriginalContext / wavelength - 1.0) / (4.0 - 1.0)));
    factors.push_back(static_cast<float>(1.0 / ((1.0 - smooth) / s_.llama3_factor + smooth)));
  }
  const int64_t size = static_cast<int64_t>(factors.size());
  tensors_.push_back({"rope_freqs.weight", {size}, SynthTensor::Fill::kValues, 0.0f, std::move(factors)});
}

void Layout::Attention(const std::string& blk) {
  const int64_t h = s_.hidden_size, q = int64_t{s_.num_attention_heads} * s_.head_dim,
                kv = int64_t{s_.num_key_value_heads} * s_.head_dim;
  const bool bias = s_.is("qwen2") || s_.is("gpt-oss");
  if (s_.is("phi3") || s_.is("gpt2")) {
    Matrix(blk + "attn_qkv", h, q + 2 * kv);
    if (s_.is("gpt2")) Bias(blk + "attn_qkv", q + 2 * kv);
  } else {
    Matrix(blk + "attn_q", h, s_.is("qwen3next") ? 2 * q : q);
    Matrix(blk + "attn_k", h, kv);
    Matrix(blk + "attn_v", h, kv);
    if (bias) {
      Bias(blk + "attn_q", q);
      Bias(blk + "attn_k", kv);
      Bias(blk + "attn_v", kv);
    }
  }
  Matrix(blk + "attn_output", q, h);
  if (s_.is("gpt2") || s_.is("gpt-oss")) Bias(blk + "attn_output", h);
  if (s_.is("gpt-oss")) Constant(blk + "attn_sinks.weight", {s_.num_attention_heads}, 0.0f);
  const bool per_head = s_.is("qwen3") || s_.is("qwen3moe") || s_.is("qwen3next") || s_.is("gemma3");
  if (per_head || s_.is("olmo2")) {
    Norm(blk + "attn_q_norm", per_head ? s_.head_dim : q);
    Norm(blk + "attn_k_norm", per_head ? s_.head_dim : kv);
  }
}

void Layout::DeltaNet(const std::string& blk) {
  const int64_t h = s_.hidden_size, keys = kDeltaKeyHeads * kDeltaHeadDim, values = kDeltaValueHeads * kDeltaHeadDim;
  Matrix(blk + "attn_qkv", h, 2 * keys + values);
  Matrix(blk + "attn_gate", h, values);
  Matrix(blk + "ssm_ba", h, 2 * kDeltaValueHeads);
  Matrix(blk + "ssm_conv1d", kConvKernel, 2 * keys + values);
  Constant(blk + "ssm_a", {kDeltaValueHeads}, -0.5f);
  Constant(blk + "ssm_dt.bias", {kDeltaValueHeads}, 0.1f);
  Norm(blk + "ssm_norm", kDeltaHeadDim);
  Matrix(blk + "ssm_out", values, h);
}

void Layout::Dense(const std::string& blk) {
  const int64_t h = s_.hidden_size, inner = s_.intermediate_size;
  const bool fused = s_.is("phi3"), gated = !fused && !s_.is("gpt2");
  if (gated) Matrix(blk + "ffn_gate", h, inner);
  Matrix(blk + "ffn_up", h, fused ? 2 * inner : inner);
  Matrix(blk + "ffn_down", inner, h);
  if (s_.is("gpt2")) {
    Bias(blk + "ffn_up", inner);
    Bias(blk + "ffn_down", h);
  }
}

void Layout::Experts(const std::string& blk) {
  const int64_t h = s_.hidden_size, inner = s_.moe_intermediate_size, experts = s_.num_experts;
  Matrix(blk + "ffn_gate_inp", h, experts);
  Random(blk + "ffn_gate_exps.weight", {h, inner, experts});
  Random(blk + "ffn_up_exps.weight", {h, inner, experts});
  Random(blk + "ffn_down_exps.weight", {inner, h, experts});
  if (s_.is("gpt-oss")) {
    Bias(blk + "ffn_gate_inp", experts);
    Constant(blk + "ffn_gate_exps.bias", {inner, experts}, 0.01f);
    Constant(blk + "ffn_up_exps.bias", {inner, experts}, 0.01f);
    Constant(blk + "ffn_down_exps.bias", {h, experts}, 0.01f);
  }
  if (s_.is("qwen3next")) {
    Constant(blk + "ffn_gate_inp_shexp.weight", {h}, 0.01f);
    Matrix(blk + "ffn_gate_shexp", h, inner);
    Matrix(blk + "ffn_up_shexp", h, inner);
    Matrix(blk + "ffn_down_shexp", inner, h);
  }
}

std::vector<SynthTensor> Layout::Build() {
  const int64_t h = s_.hidden_size;
  RopeFactors();
  Matrix("token_embd", h, s_.vocab_size);
  if (s_.is("gpt2")) Matrix("position_embd", h, s_.max_position_embeddings);
  const bool gemma = s_.is("gemma2") || s_.is("gemma3");
  const bool post_attention = gemma || s_.is("olmo2") || s_.is("gpt-oss") || s_.is("qwen3next");
  for (int i = 0; i < s_.num_hidden_layers; ++i) {
    const std::string blk = fmt::format("blk.{}.", i);
    if (!s_.is("olmo2")) Norm(blk + "attn_norm", h);
    if (s_.is("qwen3next") && (i + 1) % kFullInterval != 0) {
      DeltaNet(blk);
    } else {
      Attention(blk);
    }
    if (post_attention) Norm(blk + "post_attention_norm", h);
    if (gemma || !post_attention) Norm(blk + "ffn_norm", h);
    if (s_.num_experts > 0) {
      Experts(blk);
    } else {
      Dense(blk);
    }
    if (gemma || s_.is("olmo2")) Norm(blk + "post_ffw_norm", h);
  }
  Norm("output_norm", h);
  if (!s_.tied) Matrix("output", h, s_.vocab_size);
  return std::move(tensors_);
}

void SetMoe(const SynthShape& s, const std::string& arch, GgufWriter& writer) {
  if (s.num_experts == 0) return;
  writer.SetUint32(arch + ".expert_count", static_cast<uint32_t>(s.num_experts));
  writer.SetUint32(arch + ".expert_used_count", static_cast<uint32_t>(s.num_experts_per_tok));
  if (!s.is("llama"))
    writer.SetUint32(arch + ".expert_feed_forward_length", static_cast<uint32_t>(s.moe_intermediate_size));
  if (s.is("qwen3next"))
    writer.SetUint32(arch + ".expert_shared_feed_forward_length", static_cast<uint32_t>(s.moe_intermediate_size));
}

void SetRope(const SynthShape& s, const std::string& arch, GgufWriter& writer) {
  if (s.is("gpt2")) return;
  writer.SetUint32(arch + ".rope.dimension_count",
                   static_cast<uint32_t>(s.is("qwen3next") ? s.head_dim / 4 : s.head_dim));
  writer.SetFloat(arch + ".rope.freq_base", s.rope_theta);
  if (s.is("gpt-oss")) {
    writer.SetString(arch + ".rope.scaling.type", "yarn");
    writer.SetFloat(arch + ".rope.scaling.factor", 32.0f);
    writer.SetUint32(arch + ".rope.scaling.original_context_length", 4096);
  }
  if (s.is("phi3"))
    writer.SetUint32(arch + ".rope.scaling.original_context_length", static_cast<uint32_t>(s.max_position_embeddings));
}

void SetFamily(const SynthShape& s, const std::string& arch, GgufWriter& writer) {
  if (s.is("gemma2") || s.is("gemma3") || s.is("gpt-oss") || s.is("phi3")) {
    writer.SetUint32(arch + ".attention.sliding_window", static_cast<uint32_t>(s.sliding_window));
  }
  if (s.is("gemma2")) {
    writer.SetFloat(arch + ".attn_logit_softcapping", 50.0f);
    writer.SetFloat(arch + ".final_logit_softcapping", 30.0f);
  }
  if (s.is("granite")) {
    writer.SetFloat(arch + ".attention.scale", 1.0f / 64.0f);
    writer.SetFloat(arch + ".embedding_scale", 12.0f);
    writer.SetFloat(arch + ".residual_scale", 0.22f);
    writer.SetFloat(arch + ".logit_scale", 8.0f);
  }
  if (s.is("qwen3next")) {
    writer.SetUint32(arch + ".ssm.conv_kernel", kConvKernel);
    writer.SetUint32(arch + ".ssm.state_size", kDeltaHeadDim);
    writer.SetUint32(arch + ".ssm.group_count", kDeltaKeyHeads);
    writer.SetUint32(arch + ".ssm.time_step_rank", kDeltaValueHeads);
    writer.SetUint32(arch + ".ssm.inner_size", kDeltaHeadDim * kDeltaValueHeads);
    writer.SetUint32(arch + ".full_attention_interval", kFullInterval);
  }
}

}  // namespace

std::vector<SynthTensor> SynthTensors(const SynthShape& shape) {
  return Layout(shape).Build();
}

void SetSynthMetadata(const SynthShape& s, const TypeMix& mix, GgufWriter& writer) {
  const std::string arch(s.arch);
  const auto set = [&](const char* key, int value) { writer.SetUint32(arch + key, static_cast<uint32_t>(value)); };
  writer.SetString("general.architecture", arch);
  writer.SetString("general.name", fmt::format("{} with random weights", s.name));
  writer.SetUint32("general.quantization_version", 2);
  writer.SetUint32("general.file_type", static_cast<uint32_t>(mix.file_type));
  set(".vocab_size", s.vocab_size);
  set(".context_length", s.max_position_embeddings);
  set(".embedding_length", s.hidden_size);
  set(".block_count", s.num_hidden_layers);
  set(".feed_forward_length", s.intermediate_size);
  set(".attention.head_count", s.num_attention_heads);
  if (!s.is("gpt2")) {
    set(".attention.head_count_kv", s.num_key_value_heads);
    set(".attention.key_length", s.head_dim);
    set(".attention.value_length", s.head_dim);
  }
  writer.SetFloat(arch + (s.is("gpt2") ? ".attention.layer_norm_epsilon" : ".attention.layer_norm_rms_epsilon"),
                  s.rms_norm_eps);
  SetRope(s, arch, writer);
  SetMoe(s, arch, writer);
  SetFamily(s, arch, writer);
}

}  // namespace millrace
