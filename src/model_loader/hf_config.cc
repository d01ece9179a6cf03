#include "model_loader/hf_config.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "model_loader/config_check.h"
#include "model_loader/hf_rope.h"
#include "model_loader/json_file.h"
#include "model_loader/printable.h"

namespace millrace {
namespace {

// Defaults of the configuration classes for fields that published files leave out; 0 where a file must have the field.
struct ModelType {
  std::string_view name;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;  // 0: as many as attention heads
  int head_dim = 0;             // 0: hidden_size / heads
  int vocab_size = 0;
  int max_position_embeddings = 0;
  int sliding_window = 0;
  float rms_norm_eps = 1e-6f;
  bool tie_word_embeddings = false;
};

constexpr ModelType kModelTypes[] = {
    {.name = "llama", .max_position_embeddings = 2048},
    {.name = "mistral", .num_key_value_heads = 8, .max_position_embeddings = 131072, .sliding_window = 4096},
    {.name = "mixtral", .num_key_value_heads = 8, .max_position_embeddings = 131072, .rms_norm_eps = 1e-5f},
    {.name = "qwen2", .max_position_embeddings = 32768, .sliding_window = 4096},
    {.name = "qwen3", .head_dim = 128, .max_position_embeddings = 32768, .sliding_window = 4096},
    {.name = "qwen3_moe", .num_key_value_heads = 4, .max_position_embeddings = 32768, .sliding_window = 4096},
    {.name = "qwen3_next", .num_key_value_heads = 2, .head_dim = 256, .max_position_embeddings = 32768},
    {.name = "gemma2",
     .num_attention_heads = 8,
     .num_key_value_heads = 4,
     .head_dim = 256,
     .vocab_size = 256000,
     .max_position_embeddings = 8192,
     .sliding_window = 4096,
     .tie_word_embeddings = true},
    {.name = "gemma3_text",
     .num_attention_heads = 8,
     .num_key_value_heads = 4,
     .head_dim = 256,
     .vocab_size = 262208,
     .max_position_embeddings = 131072,
     .sliding_window = 4096,
     .tie_word_embeddings = true},
    {.name = "phi3", .max_position_embeddings = 4096, .rms_norm_eps = 1e-5f},
    {.name = "smollm3", .num_key_value_heads = 4, .max_position_embeddings = 32768, .tie_word_embeddings = true},
    {.name = "olmo2", .max_position_embeddings = 2048, .rms_norm_eps = 1e-5f},
    {.name = "granite", .max_position_embeddings = 2048},
    {.name = "gpt_oss",
     .num_key_value_heads = 8,
     .head_dim = 64,
     .max_position_embeddings = 131072,
     .sliding_window = 128,
     .rms_norm_eps = 1e-5f},
    {.name = "gpt2", .max_position_embeddings = 1024, .rms_norm_eps = 1e-5f, .tie_word_embeddings = true},
};

const ModelType* FindModelType(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kModelTypes), std::end(kModelTypes), [&](const ModelType& t) { return t.name == name; });
  return it == std::end(kModelTypes) ? nullptr : it;
}

// Everything a family's reader needs.
struct Source {
  const nlohmann::json& json;
  const ModelType& type;
  FieldReader& fields;

  int Int(std::string_view key, int fallback, int64_t min, int64_t max) const {
    return static_cast<int>(fields.Int(key, fallback, min, max));
  }
  // A field whose null means "off", which is not the default.
  bool IsNull(std::string_view key) const {
    const auto it = json.find(key);
    return it != json.end() && it->is_null();
  }
};

Activation ReadActivation(FieldReader& fields, std::string_view key, std::string_view fallback) {
  const std::string name = fields.String(key, fallback);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") return Activation::kGeluTanh;
  if (name == "gelu") return Activation::kGeluErf;
  if (name == "relu2") return Activation::kRelu2;
  fields.Fail(key, fmt::format("is {}, expected silu, gelu, gelu_new, gelu_pytorch_tanh or relu2", Printable(name)));
  return Activation::kSilu;
}

void ReadShape(const Source& s, ModelConfig& config) {
  FieldReader& f = s.fields;
  const ModelType& d = s.type;
  config.hidden_size = static_cast<int>(f.RequireInt("hidden_size", 1, kMaxWidth));
  config.num_hidden_layers = static_cast<int>(f.RequireInt("num_hidden_layers", 1, kMaxLayers));
  config.intermediate_size = static_cast<int>(f.RequireInt("intermediate_size", 1, kMaxWidth));
  config.vocab_size = s.Int("vocab_size", d.vocab_size, 1, kMaxVocab);
  config.num_attention_heads = s.Int("num_attention_heads", d.num_attention_heads, 1, kMaxHeads);
  const int kv_default = d.num_key_value_heads != 0 && !s.IsNull("num_key_value_heads") ? d.num_key_value_heads
                                                                                        : config.num_attention_heads;
  config.num_key_value_heads = s.Int("num_key_value_heads", kv_default, 1, kMaxHeads);
  config.head_dim = s.Int("head_dim", d.head_dim, 1, kMaxHeadDim);
  config.max_position_embeddings = s.Int("max_position_embeddings", d.max_position_embeddings, 1, kMaxContext);
  config.rms_norm_eps = f.Float("rms_norm_eps", d.rms_norm_eps);
  const char* act = f.Has("hidden_activation") ? "hidden_activation" : "hidden_act";
  config.hidden_act = ReadActivation(f, act, config.model_type.starts_with("gemma") ? "gelu_pytorch_tanh" : "silu");
  for (const char* key : {"vocab_size", "num_attention_heads"}) {
    const bool known = std::string_view(key) == "vocab_size" ? d.vocab_size != 0 : d.num_attention_heads != 0;
    if (!known && !f.Has(key)) f.Fail(key, "is missing");
  }
}

void ReadGpt2Shape(const Source& s, ModelConfig& config) {
  FieldReader& f = s.fields;
  config.hidden_size = static_cast<int>(f.RequireInt("n_embd", 1, kMaxWidth));
  config.num_hidden_layers = static_cast<int>(f.RequireInt("n_layer", 1, kMaxLayers));
  config.num_attention_heads = static_cast<int>(f.RequireInt("n_head", 1, kMaxHeads));
  config.num_key_value_heads = config.num_attention_heads;
  config.vocab_size = static_cast<int>(f.RequireInt("vocab_size", 1, kMaxVocab));
  config.intermediate_size = s.Int("n_inner", std::min<int>(4 * config.hidden_size, kMaxWidth), 1, kMaxWidth);
  config.max_position_embeddings = s.Int("n_positions", s.Int("n_ctx", 1024, 1, kMaxContext), 1, kMaxContext);
  config.rms_norm_eps = f.Float("layer_norm_epsilon", 1e-5f);
  config.hidden_act = ReadActivation(f, "activation_function", "gelu_new");
  if (f.Bool("scale_attn_by_inverse_layer_idx", false))
    f.Fail("scale_attn_by_inverse_layer_idx", "is true, which is not supported");
  if (!f.Bool("scale_attn_weights", true)) f.Fail("scale_attn_weights", "is false, which is not supported");
}

// layer_types as a list of names; empty when absent.
std::vector<LayerType> ReadLayerTypes(const Source& s) {
  std::vector<LayerType> types;
  const auto it = s.json.find("layer_types");
  if (it == s.json.end() || it->is_null()) return types;
  if (!it->is_array() || it->size() > kMaxLayers) {
    s.fields.Fail("layer_types", "is not a list with an entry per layer");
    return types;
  }
  for (const nlohmann::json& entry : *it) {
    const std::string name = entry.is_string() ? entry.get<std::string>() : "";
    if (name == "full_attention") {
      types.push_back(LayerType::kFullAttention);
    } else if (name == "sliding_attention") {
      types.push_back(LayerType::kSlidingAttention);
    } else if (name == "linear_attention") {
      types.push_back(LayerType::kLinearAttention);
    } else {
      s.fields.Fail("layer_types", fmt::format("has the unknown entry {}", Printable(name)));
      return types;
    }
  }
  return types;
}

// One type for every layer: `other` where (i + 1) is a multiple of period, `usual` elsewhere.
std::vector<LayerType> Alternating(int layers, int64_t period, LayerType usual, LayerType other) {
  std::vector<LayerType> types;
  for (int64_t i = 0; i < layers; ++i) types.push_back((i + 1) % period == 0 ? other : usual);
  return types;
}

void ReadLayers(const Source& s, ModelConfig& config) {
  const std::string& type = config.model_type;
  FieldReader& f = s.fields;
  const bool optional_window = type == "qwen2" || type == "qwen3" || type == "qwen3_moe" || type == "smollm3";
  const bool windowed = !s.IsNull("sliding_window") && (!optional_window || f.Bool("use_sliding_window", false));
  config.sliding_window = windowed ? s.Int("sliding_window", s.type.sliding_window, 0, kMaxContext) : 0;
  config.layer_types = ReadLayerTypes(s);
  if (!config.layer_types.empty() || !f.status().ok()) return;
  const int layers = config.num_hidden_layers;
  constexpr LayerType kFull = LayerType::kFullAttention, kSliding = LayerType::kSlidingAttention;
  if (type == "qwen3_next") {
    config.layer_types =
        Alternating(layers, f.Int("full_attention_interval", 4, 1, kMaxLayers), LayerType::kLinearAttention, kFull);
  } else if (config.sliding_window == 0) {
    config.layer_types.assign(static_cast<size_t>(layers), kFull);
  } else if (type == "gemma2" || type == "gpt_oss") {
    config.layer_types = Alternating(layers, 2, kSliding, kFull);
  } else if (type == "gemma3_text") {
    config.layer_types = Alternating(layers, f.Int("sliding_window_pattern", 6, 1, kMaxLayers), kSliding, kFull);
  } else if (type == "qwen2" || type == "qwen3") {
    const int64_t first = f.Int("max_window_layers", 28, 0, kMaxLayers);
    for (int i = 0; i < layers; ++i) config.layer_types.push_back(i >= first ? kSliding : kFull);
  } else if (type == "smollm3") {
    for (const bool no_rope : config.no_rope_layers) config.layer_types.push_back(no_rope ? kSliding : kFull);
  }
}

void ReadExperts(const Source& s, ModelConfig& config) {
  FieldReader& f = s.fields;
  const std::string& type = config.model_type;
  if (type == "mixtral" || type == "gpt_oss") {
    config.num_experts = static_cast<int>(f.RequireInt("num_local_experts", 1, kMaxExperts));
    config.num_experts_per_tok = s.Int("num_experts_per_tok", type == "mixtral" ? 2 : 4, 1, kMaxExperts);
    config.moe_intermediate_size = config.intermediate_size;
  } else if (type == "qwen3_moe" || type == "qwen3_next") {
    // transformers 5 writes the name that Mixtral has always had.
    const char* key = f.Has("num_experts") ? "num_experts" : "num_local_experts";
    config.num_experts = static_cast<int>(f.RequireInt(key, 1, kMaxExperts));
    config.num_experts_per_tok = static_cast<int>(f.RequireInt("num_experts_per_tok", 1, kMaxExperts));
    config.moe_intermediate_size = static_cast<int>(f.RequireInt("moe_intermediate_size", 1, kMaxWidth));
    config.norm_topk_prob = f.Bool("norm_topk_prob", type == "qwen3_next");
    config.decoder_sparse_step = s.Int("decoder_sparse_step", 1, 1, kMaxLayers);
    for (const double layer : f.Numbers("mlp_only_layers")) {
      if (!(layer >= 0 && layer < config.num_hidden_layers))
        return f.Fail("mlp_only_layers", "names a layer that does not exist");
      config.mlp_only_layers.push_back(static_cast<int>(layer));
    }
  }
}

void ReadQwen3Next(const Source& s, ModelConfig& config) {
  config.shared_expert_intermediate_size = s.Int("shared_expert_intermediate_size", 512, 1, kMaxWidth);
  config.linear_conv_kernel_dim = s.Int("linear_conv_kernel_dim", 4, 1, 64);
  config.linear_key_head_dim = s.Int("linear_key_head_dim", 128, 1, kMaxHeadDim);
  config.linear_value_head_dim = s.Int("linear_value_head_dim", 128, 1, kMaxHeadDim);
  config.linear_num_key_heads = s.Int("linear_num_key_heads", 16, 1, kMaxHeads);
  config.linear_num_value_heads = s.Int("linear_num_value_heads", 32, 1, kMaxHeads);
  config.norm_weight_offset = 1.0f;
}

void ReadGemma(const Source& s, ModelConfig& config) {
  const bool is_gemma2 = config.model_type == "gemma2";
  const auto softcap = [&](std::string_view key, float fallback) {
    return s.IsNull(key) ? 0.0f : s.fields.Float(key, fallback);
  };
  config.attn_logit_softcapping = softcap("attn_logit_softcapping", is_gemma2 ? 50.0f : 0.0f);
  config.final_logit_softcapping = softcap("final_logit_softcapping", is_gemma2 ? 30.0f : 0.0f);
  config.query_pre_attn_scalar = s.fields.Float("query_pre_attn_scalar", 256.0f);
  config.embedding_multiplier = std::sqrt(static_cast<float>(config.hidden_size));
  config.norm_weight_offset = 1.0f;
  if (s.fields.Bool("use_bidirectional_attention", false))
    s.fields.Fail("use_bidirectional_attention", "is true, which is not supported");
}

void ReadSmolLm3(const Source& s, ModelConfig& config) {
  const std::vector<double> has_rope = s.fields.Numbers("no_rope_layers");  // 1 where a layer does have rope
  const int64_t interval = s.fields.Int("no_rope_layer_interval", 4, 1, kMaxLayers);
  for (int i = 0; i < config.num_hidden_layers && has_rope.empty(); ++i)
    config.no_rope_layers.push_back((i + 1) % interval == 0);
  for (const double value : has_rope) config.no_rope_layers.push_back(value == 0.0);
}

void ReadFamily(const Source& s, ModelConfig& config) {
  const std::string& type = config.model_type;
  FieldReader& f = s.fields;
  if (type == "gemma2" || type == "gemma3_text") ReadGemma(s, config);
  if (type == "smollm3") ReadSmolLm3(s, config);
  if (type == "qwen3_next") ReadQwen3Next(s, config);
  if (type == "gpt_oss") {
    config.hidden_act = Activation::kSwigluOai;
    config.swiglu_limit = f.Float("swiglu_limit", 7.0f);
  }
  if (type == "granite") {
    config.attention_multiplier = f.Float("attention_multiplier", 1.0f);
    config.embedding_multiplier = f.Float("embedding_multiplier", 1.0f);
    config.residual_multiplier = f.Float("residual_multiplier", 1.0f);
    config.logits_scaling = f.Float("logits_scaling", 1.0f);
  }
}

// A token id, or a list of them; what is outside the vocabulary is dropped, as there is no such token.
std::vector<TokenId> ReadTokenIds(const nlohmann::json& json, std::string_view key, int vocab_size) {
  std::vector<TokenId> ids;
  const Field field = JsonFields(json).Get(key);
  const auto add = [&](double id) {
    if (id >= 0 && id < vocab_size && id == std::floor(id)) ids.push_back(static_cast<TokenId>(id));
  };
  if (const double* id = std::get_if<double>(&field)) add(*id);
  if (const auto* list = std::get_if<std::vector<double>>(&field)) std::for_each(list->begin(), list->end(), add);
  return ids;
}

void ReadSpecialTokens(const nlohmann::json& outer, const nlohmann::json& text, const nlohmann::json& generation,
                       ModelConfig& config) {
  for (const nlohmann::json* json : {&generation, &text, &outer}) {
    const std::vector<TokenId> bos = ReadTokenIds(*json, "bos_token_id", config.vocab_size);
    if (!config.bos_token_id && !bos.empty()) config.bos_token_id = bos.front();
    if (config.eos_token_ids.empty()) config.eos_token_ids = ReadTokenIds(*json, "eos_token_id", config.vocab_size);
  }
}

}  // namespace

Result<ModelConfig> ReadHfConfig(const nlohmann::json& outer, const nlohmann::json& generation,
                                 const std::string& where) {
  const auto inner = outer.find("text_config");
  const bool wrapped = inner != outer.end() && inner->is_object();
  const nlohmann::json& json = wrapped ? *inner : outer;
  const JsonFields source(json);
  FieldReader fields(source, where);
  ModelConfig config;
  config.model_type = fields.String("model_type", "");
  const ModelType* type = FindModelType(config.model_type);
  if (type == nullptr) return Unsupported("{}: model_type {} is not supported", where, Printable(config.model_type));
  const Source s{json, *type, fields};
  if (config.model_type == "gpt2") {
    ReadGpt2Shape(s, config);
  } else {
    ReadShape(s, config);
  }
  RETURN_IF_ERROR(fields.status());
  config.tie_word_embeddings = fields.Bool("tie_word_embeddings", type->tie_word_embeddings);
  ReadFamily(s, config);
  ReadLayers(s, config);
  ReadExperts(s, config);
  RETURN_IF_ERROR(fields.status());
  if (config.model_type != "gpt2") RETURN_IF_ERROR(ReadHfRope(json, where, config));
  ReadSpecialTokens(outer, json, generation, config);
  RETURN_IF_ERROR(FinishConfig(where, config));
  return config;
}

Result<GenerationDefaults> ReadHfGenerationDefaults(const nlohmann::json& generation, const std::string& where) {
  const JsonFields source(generation);
  FieldReader fields(source, where);
  GenerationDefaults defaults;
  if (fields.Has("temperature")) defaults.temperature = fields.Float("temperature", 1.0f);
  if (fields.Has("top_p")) defaults.top_p = fields.Float("top_p", 1.0f);
  if (fields.Has("min_p")) defaults.min_p = fields.Float("min_p", 0.0f);
  if (fields.Has("repetition_penalty")) defaults.repetition_penalty = fields.Float("repetition_penalty", 1.0f);
  if (fields.Has("top_k")) defaults.top_k = static_cast<int>(fields.Int("top_k", 0, -1, kMaxVocab));
  RETURN_IF_ERROR(fields.status());
  return defaults;
}

}  // namespace millrace
