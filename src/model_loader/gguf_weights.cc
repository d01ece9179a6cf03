#include "model_loader/gguf_weights.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "model_loader/fused_weights.h"

namespace millrace {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view canonical;
};

constexpr NamePair kGlobalNames[] = {
    {"token_embd", "model.embed_tokens"},
    {"position_embd", "model.embed_positions"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};

// Names below blk.N; what depends on the architecture is in LayerName.
constexpr NamePair kLayerNames[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_sinks", "self_attn.sinks"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
    {"ffn_gate_exps", "mlp.experts.*.gate_proj"},
    {"ffn_up_exps", "mlp.experts.*.up_proj"},
    {"ffn_down_exps", "mlp.experts.*.down_proj"},
    {"ffn_gate_up_exps", "mlp.experts.*.gate_up_proj"},
    {"attn_gate", "linear_attn.in_proj_z"},
    {"ssm_in", "linear_attn.in_proj_qkvz"},
    {"ssm_ba", "linear_attn.in_proj_ba"},
    {"ssm_conv1d", "linear_attn.conv1d"},
    {"ssm_norm", "linear_attn.norm"},
    {"ssm_out", "linear_attn.out_proj"},
};

template <size_t kSize>
std::optional<std::string_view> Lookup(const NamePair (&names)[kSize], std::string_view key) {
  for (const NamePair& pair : names) {
    if (pair.gguf == key) return pair.canonical;
  }
  return std::nullopt;
}

// The canonical name of a layer's tensor without "model.layers.N.", '*' standing for the expert; nullopt when unknown.
std::optional<std::string> LayerName(std::string_view stem, std::string_view suffix, const ModelConfig& config) {
  const std::string& type = config.model_type;
  const auto with_suffix = [&](std::string_view name) { return std::string(name) + std::string(suffix); };
  if (stem == "ssm_a") return "linear_attn.A_log";
  if (stem == "ssm_dt") return "linear_attn.dt_bias";
  if (stem == "attn_sinks") return "self_attn.sinks";
  if (stem == "ffn_norm") {
    const bool gemma = type == "gemma2" || type == "gemma3_text";
    return with_suffix(gemma ? "pre_feedforward_layernorm" : "post_attention_layernorm");
  }
  if (stem == "attn_qkv") return with_suffix(type == "qwen3_next" ? "linear_attn.in_proj_qkv" : "self_attn.qkv_proj");
  if (stem == "ffn_up" && type == "phi3") return with_suffix("mlp.gate_up_proj");
  const auto name = Lookup(kLayerNames, stem);
  if (!name) return std::nullopt;
  return with_suffix(*name);
}

struct CanonicalName {
  std::string name;  // empty: not a weight
  int layer = -1;
};

// blk.N.stem.weight or stem.weight.
Result<CanonicalName> Canonical(std::string_view gguf, const std::string& where, const ModelConfig& config) {
  const auto unknown = [&] {
    return Unsupported("{}: tensor {} does not belong to architecture {}", where, gguf, config.model_type);
  };
  if (gguf == "rope_freqs.weight" || gguf == "rope_factors_long.weight" || gguf == "rope_factors_short.weight")
    return CanonicalName();
  std::string_view rest = gguf;
  CanonicalName out;
  if (rest.starts_with("blk.")) {
    rest.remove_prefix(4);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), out.layer);
    if (error != std::errc() || out.layer < 0 || end == rest.data() + rest.size() || *end != '.') return unknown();
    rest.remove_prefix(static_cast<size_t>(end - rest.data()) + 1);
    // Prediction heads follow the layers.
    if (out.layer >= config.num_hidden_layers) return CanonicalName();
    if (rest == "attn_rot_embd.weight" || rest.starts_with("rope_freqs") || rest.starts_with("nextn."))
      return CanonicalName();
  }
  const size_t dot = rest.find('.');
  const std::string_view stem = rest.substr(0, dot);
  const std::string_view suffix = dot == std::string_view::npos ? std::string_view() : rest.substr(dot);
  if (!suffix.empty() && suffix != ".weight" && suffix != ".bias") return unknown();
  if (out.layer < 0) {
    const auto name = Lookup(kGlobalNames, stem);
    if (!name) return unknown();
    out.name = std::string(*name) + std::string(suffix);
    return out;
  }
  const auto name = LayerName(stem, suffix, config);
  if (!name) return unknown();
  out.name = fmt::format("model.layers.{}.{}", out.layer, *name);
  return out;
}

// Rows are all dimensions but the first; a vector is one row.
WeightTensor MakeWeight(const GgufTensor& source, std::span<const std::byte> file, std::string name) {
  WeightTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = source.dtype;
  tensor.cols = source.dims[0];
  tensor.rows = source.elements() / source.dims[0];
  tensor.data = file.data() + source.offset;
  return tensor;
}

// ssm_a holds -exp(A_log).
Status AddLogarithm(WeightTensor tensor, WeightTable& table) {
  if (tensor.dtype != DType::kF32)
    return Unsupported("{} has type {}, expected F32", tensor.name, DTypeName(tensor.dtype));
  const ByteRanges sources = {{tensor.data, static_cast<size_t>(tensor.bytes())}};
  tensor.gather = [data = tensor.data, cols = tensor.cols](int64_t first, int64_t count, std::byte* dst) {
    for (int64_t i = first * cols; i < (first + count) * cols; ++i, dst += sizeof(float)) {
      float value;
      std::memcpy(&value, data + i * static_cast<int64_t>(sizeof(float)), sizeof(value));
      value = std::log(-value);
      std::memcpy(dst, &value, sizeof(value));
    }
  };
  tensor.data = nullptr;
  return table.AddGathered(std::move(tensor), sources);
}

Status AddTensor(const GgufTensor& source, std::span<const std::byte> file, std::string name, const ModelConfig& config,
                 WeightTable& table) {
  if (name.find(".experts.*.") != std::string::npos)
    return AddExpertStack(MakeWeight(source, file, name), config, table);
  WeightTensor tensor = MakeWeight(source, file, std::move(name));
  if (tensor.name.ends_with("linear_attn.A_log")) return AddLogarithm(std::move(tensor), table);
  if (source.num_dims > 2) return DataLoss("{} has {} dimensions, expected at most 2", tensor.name, source.num_dims);
  return table.Add(std::move(tensor));
}

}  // namespace

Status AddGgufWeights(const GgufHeader& header, std::span<const std::byte> file, const std::string& where,
                      const ModelConfig& config, WeightTable& table) {
  for (const GgufTensor& source : header.tensors()) {
    ASSIGN_OR_RETURN(CanonicalName canonical, Canonical(source.name, where, config));
    if (canonical.name.empty()) continue;
    const Status status = AddTensor(source, file, std::move(canonical.name), config, table);
    if (!status.ok()) return status.WithPrefix(where);
  }
  return OkStatus();
}

}  // namespace millrace
