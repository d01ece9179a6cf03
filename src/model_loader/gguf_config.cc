#include "model_loader/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model_loader/config_check.h"
#include "model_loader/printable.h"

namespace millrace {
namespace {

constexpr int64_t kMaxWindow = kMaxContext;

struct Architecture {
  std::string_view gguf;
  std::string_view model_type;
  RopeLayout rope_layout;
};

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", RopeLayout::kInterleaved},
    {"qwen2", "qwen2", RopeLayout::kHalf},
    {"qwen3", "qwen3", RopeLayout::kHalf},
    {"qwen3moe", "qwen3_moe", RopeLayout::kHalf},
    {"qwen3next", "qwen3_next", RopeLayout::kHalf},
    {"gemma2", "gemma2", RopeLayout::kHalf},
    {"gemma3", "gemma3_text", RopeLayout::kHalf},
    {"phi3", "phi3", RopeLayout::kHalf},
    {"smollm3", "smollm3", RopeLayout::kInterleaved},
    {"olmo2", "olmo2", RopeLayout::kHalf},
    {"granite", "granite", RopeLayout::kInterleaved},
    {"gpt2", "gpt2", RopeLayout::kHalf},
    {"gpt-oss", "gpt_oss", RopeLayout::kHalf},
};

const GgufTensor* FindTensor(const GgufHeader& header, std::string_view name) {
  for (const GgufTensor& tensor : header.tensors()) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

// The values of a small F32 tensor (a table of rope factors); empty when absent.
Status ReadFactors(const GgufHeader& header, std::span<const std::byte> file, const std::string& where,
                   std::string_view name, std::vector<float>& out) {
  const GgufTensor* tensor = FindTensor(header, name);
  if (tensor == nullptr) return OkStatus();
  if (tensor->dtype != DType::kF32 || tensor->elements() > kMaxHeadDim) {
    return DataLoss("{}: tensor {} has {} values of type {}, expected at most {} of type F32", where, name,
                    tensor->elements(), DTypeName(tensor->dtype), kMaxHeadDim);
  }
  out.resize(static_cast<size_t>(tensor->elements()));
  std::memcpy(out.data(), file.data() + tensor->offset, tensor->bytes);
  for (const float factor : out) {
    if (!(factor > 0.0f) || !std::isfinite(factor))
      return DataLoss("{}: tensor {} holds {}, expected positive numbers", where, name, factor);
  }
  return OkStatus();
}

void ReadRope(FieldReader& fields, ModelConfig& config) {
  config.rope_theta = fields.Float("rope.freq_base", 10000.0f);
  RopeScaling& rope = config.rope_scaling;
  const std::string type = fields.String("rope.scaling.type", "none");
  rope.factor = fields.Float("rope.scaling.factor", fields.Float("rope.scale_linear", 1.0f));
  if (type == "linear" || (type == "none" && rope.factor > 1.0f)) {
    rope.type = RopeScalingType::kLinear;
  } else if (type == "yarn") {
    rope.type = RopeScalingType::kYarn;
  } else if (type == "longrope") {
    rope.type = RopeScalingType::kLongRope;
  } else if (type != "none") {
    fields.Fail("rope.scaling.type", fmt::format("is {}, expected none, linear, yarn or longrope", Printable(type)));
  }
  rope.original_max_position_embeddings =
      static_cast<int>(fields.Int("rope.scaling.original_context_length", 0, 0, kMaxContext));
  rope.attention_factor = fields.Float("rope.scaling.attn_factor", fields.Float("rope.scaling.yarn_attn_factor", 0.0f));
  rope.beta_fast = fields.Float("rope.scaling.yarn_beta_fast", 32.0f);
  rope.beta_slow = fields.Float("rope.scaling.yarn_beta_slow", 1.0f);
}

// Layer i slides unless it is the last of a group of `period`; a per-layer list in the file wins.
void ReadWindow(FieldReader& fields, int64_t default_window, int period, ModelConfig& config) {
  config.sliding_window = static_cast<int>(fields.Int("attention.sliding_window", default_window, 0, kMaxWindow));
  const size_t layers = static_cast<size_t>(config.num_hidden_layers);
  config.layer_types.assign(layers, LayerType::kFullAttention);
  if (config.sliding_window == 0) return;
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const std::vector<double> pattern = fields.Has(kPattern) ? fields.Numbers(kPattern) : std::vector<double>();
  if (!pattern.empty() && pattern.size() < layers) fields.Fail(kPattern, "has fewer entries than there are layers");
  for (size_t i = 0; i < layers && fields.status().ok(); ++i) {
    const bool sliding =
        pattern.empty() ? i % static_cast<size_t>(period) + 1 < static_cast<size_t>(period) : pattern[i] != 0.0;
    if (sliding) config.layer_types[i] = LayerType::kSlidingAttention;
  }
}

void ReadExperts(FieldReader& fields, ModelConfig& config) {
  config.num_experts = static_cast<int>(fields.Int("expert_count", 0, 0, kMaxExperts));
  if (config.num_experts == 0) return;
  config.num_experts_per_tok = static_cast<int>(fields.RequireInt("expert_used_count", 1, config.num_experts));
  config.moe_intermediate_size =
      static_cast<int>(fields.UniformInt("expert_feed_forward_length", config.intermediate_size, 0, kMaxWidth));
  config.shared_expert_intermediate_size =
      static_cast<int>(fields.Int("expert_shared_feed_forward_length", 0, 0, kMaxWidth));
}

void ReadGemma(FieldReader& fields, ModelConfig& config) {
  const bool is_gemma2 = config.model_type == "gemma2";
  config.hidden_act = Activation::kGeluTanh;
  config.embedding_multiplier = std::sqrt(static_cast<float>(config.hidden_size));
  config.attn_logit_softcapping = fields.Float("attn_logit_softcapping", is_gemma2 ? 50.0f : 0.0f);
  config.final_logit_softcapping = fields.Float("final_logit_softcapping", is_gemma2 ? 30.0f : 0.0f);
  // The format has no field for the scale of scores; the two 27B models are the ones that do not use the head size.
  const bool is_27b = config.num_hidden_layers == (is_gemma2 ? 46 : 62);
  if (is_27b)
    config.query_pre_attn_scalar =
        static_cast<float>(config.hidden_size) / static_cast<float>(config.num_attention_heads);
  ReadWindow(fields, is_gemma2 ? 4096 : 0, is_gemma2 ? 2 : 6, config);
  if (!is_gemma2) config.rope_local_theta = fields.Float("rope.freq_base_swa", 10000.0f);
}

void ReadQwen3Next(FieldReader& fields, ModelConfig& config) {
  config.linear_conv_kernel_dim = static_cast<int>(fields.RequireInt("ssm.conv_kernel", 1, 64));
  config.linear_key_head_dim = static_cast<int>(fields.RequireInt("ssm.state_size", 1, kMaxHeadDim));
  config.linear_num_key_heads = static_cast<int>(fields.RequireInt("ssm.group_count", 1, kMaxHeads));
  config.linear_num_value_heads = static_cast<int>(fields.RequireInt("ssm.time_step_rank", 1, kMaxHeads));
  const int64_t inner = fields.RequireInt("ssm.inner_size", 1, kMaxWidth);
  config.linear_value_head_dim = static_cast<int>(inner / config.linear_num_value_heads);
  if (inner % config.linear_num_value_heads != 0)
    fields.Fail("ssm.inner_size", "is not a multiple of ssm.time_step_rank");

  const size_t layers = static_cast<size_t>(config.num_hidden_layers);
  const int64_t interval = fields.Int("full_attention_interval", 4, 1, kMaxLayers);
  const std::vector<double> recurrent = fields.Numbers("attention.recurrent_layers");
  if (!recurrent.empty() && recurrent.size() < layers)
    fields.Fail("attention.recurrent_layers", "has fewer entries than there are layers");
  for (size_t i = 0; i < layers && fields.status().ok(); ++i) {
    const bool linear = recurrent.empty() ? static_cast<int64_t>(i + 1) % interval != 0 : recurrent[i] != 0.0;
    config.layer_types.push_back(linear ? LayerType::kLinearAttention : LayerType::kFullAttention);
  }
}

// What differs from Llama.
void ReadArchitecture(FieldReader& fields, ModelConfig& config) {
  const std::string& type = config.model_type;
  if (type == "gemma2" || type == "gemma3_text") {
    ReadGemma(fields, config);
  } else if (type == "gpt2") {
    config.hidden_act = Activation::kGeluTanh;
    config.rotary_dim = 0;
  } else if (type == "smollm3") {
    for (int i = 0; i < config.num_hidden_layers; ++i) config.no_rope_layers.push_back((i + 1) % 4 == 0);
  } else if (type == "granite") {
    config.attention_multiplier = fields.Float("attention.scale", 0.0f);
    config.embedding_multiplier = fields.Float("embedding_scale", 1.0f);
    config.residual_multiplier = fields.Float("residual_scale", 1.0f);
    config.logits_scaling = fields.Float("logit_scale", 1.0f);
  } else if (type == "gpt_oss") {
    config.hidden_act = Activation::kSwigluOai;
    config.rope_scaling.truncate = false;
    ReadWindow(fields, 128, 2, config);
  } else if (type == "olmo2") {
    ReadWindow(fields, 0, 4, config);
    // Sliding layers of OLMo 3 use plain rope.
    if (config.sliding_window > 0) config.rope_local_theta = config.rope_theta;
  } else if (type == "qwen3_next") {
    ReadQwen3Next(fields, config);
  } else if (type == "phi3" || type == "llama" || type == "mixtral") {
    config.sliding_window = static_cast<int>(fields.Int("attention.sliding_window", 0, 0, kMaxWindow));
  }
}

void ReadEndTokens(const GgufHeader& header, const std::string& where, ModelConfig& config, Status& status) {
  constexpr double kAbsent = 4294967295.0;  // some writers store -1
  FieldReader fields(header, where, "tokenizer.ggml.");
  const int64_t bos = fields.Int("bos_token_id", -1, -1, 4294967295);
  if (bos >= 0 && bos < config.vocab_size) config.bos_token_id = static_cast<TokenId>(bos);
  for (const char* key : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
    const int64_t id = fields.Int(key, -1, -1, static_cast<int64_t>(kAbsent));
    std::vector<TokenId>& ends = config.eos_token_ids;
    if (id < 0 || id >= config.vocab_size || std::count(ends.begin(), ends.end(), static_cast<TokenId>(id)) > 0)
      continue;
    ends.push_back(static_cast<TokenId>(id));
  }
  status = fields.status();
}

void ReadShape(FieldReader& fields, ModelConfig& config) {
  config.hidden_size = static_cast<int>(fields.RequireInt("embedding_length", 1, kMaxWidth));
  const int64_t blocks = fields.RequireInt("block_count", 1, kMaxLayers);
  config.num_hidden_layers = static_cast<int>(blocks - fields.Int("nextn_predict_layers", 0, 0, blocks - 1));
  config.intermediate_size = static_cast<int>(fields.UniformInt("feed_forward_length", 0, 0, kMaxWidth));
  config.num_attention_heads = static_cast<int>(fields.UniformInt("attention.head_count", 0, 1, kMaxHeads));
  if (!fields.Has("attention.head_count")) fields.Fail("attention.head_count", "is missing");
  config.num_key_value_heads =
      static_cast<int>(fields.UniformInt("attention.head_count_kv", config.num_attention_heads, 1, kMaxHeads));
  config.max_position_embeddings = static_cast<int>(fields.RequireInt("context_length", 1, kMaxContext));
  config.rms_norm_eps =
      fields.Float("attention.layer_norm_rms_epsilon", fields.Float("attention.layer_norm_epsilon", 1e-5f));
  const int64_t default_dim = config.num_attention_heads > 0 ? config.hidden_size / config.num_attention_heads : 0;
  config.head_dim = static_cast<int>(fields.Int("attention.key_length", default_dim, 1, kMaxHeadDim));
  if (fields.Int("attention.value_length", config.head_dim, 1, kMaxHeadDim) != config.head_dim) {
    fields.Fail("attention.value_length", "differs from attention.key_length, which no supported architecture has");
  }
  config.rotary_dim = static_cast<int>(fields.Int("rope.dimension_count", config.head_dim, 0, kMaxHeadDim));
}

// What the list of tensors tells.
Status ReadFromTensors(const GgufHeader& header, std::span<const std::byte> file, const std::string& where,
                       ModelConfig& config) {
  const GgufTensor* embedding = FindTensor(header, "token_embd.weight");
  if (embedding == nullptr) return DataLoss("{}: tensor token_embd.weight is missing", where);
  if (embedding->dims[0] != config.hidden_size || embedding->dims[1] > kMaxVocab) {
    return DataLoss("{}: tensor token_embd.weight is {} x {}, expected rows of {} values", where, embedding->dims[1],
                    embedding->dims[0], config.hidden_size);
  }
  config.vocab_size = static_cast<int>(embedding->dims[1]);
  config.tie_word_embeddings = FindTensor(header, "output.weight") == nullptr;
  RopeScaling& rope = config.rope_scaling;
  RETURN_IF_ERROR(ReadFactors(header, file, where, "rope_freqs.weight", rope.freq_factors));
  RETURN_IF_ERROR(ReadFactors(header, file, where, "rope_factors_long.weight", rope.long_factor));
  RETURN_IF_ERROR(ReadFactors(header, file, where, "rope_factors_short.weight", rope.short_factor));
  if (!rope.long_factor.empty()) {
    rope.type = RopeScalingType::kLongRope;
    const int original = rope.original_max_position_embeddings;
    if (original > 0) rope.factor = static_cast<float>(config.max_position_embeddings) / static_cast<float>(original);
  }
  const GgufTensor* shared = FindTensor(header, "blk.0.ffn_up_shexp.weight");
  if (shared != nullptr && config.shared_expert_intermediate_size == 0 && shared->dims[1] <= kMaxWidth) {
    config.shared_expert_intermediate_size = static_cast<int>(shared->dims[1]);
  }
  return OkStatus();
}

}  // namespace

Result<ModelConfig> ReadGgufConfig(const GgufHeader& header, std::span<const std::byte> file,
                                   const std::string& where) {
  const std::optional<std::string_view> name = header.FindString("general.architecture");
  if (!name) return DataLoss("{}: field general.architecture is missing", where);
  const auto* arch = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                  [&](const Architecture& a) { return a.gguf == *name; });
  if (arch == std::end(kArchitectures)) {
    return Unsupported("{}: architecture {} is not supported", where, Printable(*name));
  }
  ModelConfig config;
  config.model_type = arch->model_type;
  config.rope_layout = arch->rope_layout;
  FieldReader fields(header, where, std::string(arch->gguf) + ".");
  ReadShape(fields, config);
  RETURN_IF_ERROR(fields.status());
  ReadExperts(fields, config);
  if (config.model_type == "llama" && config.num_experts > 0) config.model_type = "mixtral";
  ReadRope(fields, config);
  ReadArchitecture(fields, config);
  RETURN_IF_ERROR(fields.status());
  RETURN_IF_ERROR(ReadFromTensors(header, file, where, config));
  Status status;
  ReadEndTokens(header, where, config, status);
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(FinishConfig(where, config));
  return config;
}

Result<GenerationDefaults> ReadGgufGenerationDefaults(const GgufHeader& header, const std::string& where) {
  FieldReader fields(header, where, "general.sampling.");
  GenerationDefaults defaults;
  if (fields.Has("temp")) defaults.temperature = fields.Float("temp", 0.0f);
  if (fields.Has("top_p")) defaults.top_p = fields.Float("top_p", 1.0f);
  if (fields.Has("min_p")) defaults.min_p = fields.Float("min_p", 0.0f);
  if (fields.Has("penalty_repeat")) defaults.repetition_penalty = fields.Float("penalty_repeat", 1.0f);
  if (fields.Has("top_k")) defaults.top_k = static_cast<int>(fields.Int("top_k", 0, -1, kMaxVocab));
  RETURN_IF_ERROR(fields.status());
  return defaults;
}

}  // namespace millrace
