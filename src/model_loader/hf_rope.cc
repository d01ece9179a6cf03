#include "model_loader/hf_rope.h"

#include <string_view>

#include "model_loader/config_check.h"
#include "model_loader/json_file.h"
#include "model_loader/printable.h"

namespace millrace {
namespace {

const nlohmann::json& Member(const nlohmann::json& json, std::string_view key, const nlohmann::json& otherwise) {
  const auto it = json.find(key);
  return it != json.end() && it->is_object() ? *it : otherwise;
}

RopeScalingType ReadType(FieldReader& fields, const std::string& model_type) {
  const std::string type = fields.String("rope_type", fields.String("type", "default"));
  if (type == "default") return RopeScalingType::kNone;
  if (type == "linear") return RopeScalingType::kLinear;
  if (type == "dynamic") return RopeScalingType::kDynamic;
  if (type == "llama3") return RopeScalingType::kLlama3;
  // Early Phi-3 files call their scheme "su" or "yarn".
  if (type == "longrope" || type == "su" || (type == "yarn" && model_type == "phi3")) return RopeScalingType::kLongRope;
  if (type == "yarn") return RopeScalingType::kYarn;
  fields.Fail("rope_type",
              fmt::format("is {}, expected default, linear, dynamic, yarn, llama3 or longrope", Printable(type)));
  return RopeScalingType::kNone;
}

std::vector<float> ReadFactors(FieldReader& fields, std::string_view key) {
  std::vector<float> out;
  for (const double factor : fields.Numbers(key)) {
    if (!(factor > 0.0 && factor < 1e30)) fields.Fail(key, "holds a number that is not positive");
    out.push_back(static_cast<float>(factor));
  }
  return out;
}

float DefaultTheta(const std::string& model_type) {
  if (model_type == "mixtral" || model_type == "gemma3_text") return 1e6f;
  if (model_type == "smollm3") return 2e6f;
  if (model_type == "gpt_oss") return 150000.0f;
  return 10000.0f;
}

// GPT-OSS without a rope field means the scaling that its configuration class has.
RopeScaling GptOssScaling() {
  RopeScaling rope;
  rope.type = RopeScalingType::kYarn;
  rope.factor = 32.0f;
  rope.original_max_position_embeddings = 4096;
  rope.truncate = false;
  return rope;
}

void ReadScaling(FieldReader& fields, const ModelConfig& config, int64_t outer_original, RopeScaling& rope) {
  rope.type = ReadType(fields, config.model_type);
  if (rope.type == RopeScalingType::kNone) return;
  const int64_t original =
      fields.Int("original_max_position_embeddings", config.max_position_embeddings, 1, kMaxContext);
  rope.original_max_position_embeddings = static_cast<int>(outer_original > 0 ? outer_original : original);
  const float ratio =
      static_cast<float>(config.max_position_embeddings) / static_cast<float>(rope.original_max_position_embeddings);
  const bool needs_factor = rope.type == RopeScalingType::kLinear || rope.type == RopeScalingType::kDynamic ||
                            rope.type == RopeScalingType::kLlama3;
  if (needs_factor && !fields.Has("factor")) fields.Fail("factor", "is missing from the rope scaling");
  rope.factor = fields.Float("factor", ratio);
  // Phi-3 gives the original length beside the scaling and means the ratio.
  if (rope.type == RopeScalingType::kLongRope && outer_original > 0) rope.factor = ratio;
  rope.low_freq_factor = fields.Float("low_freq_factor", 1.0f);
  rope.high_freq_factor = fields.Float("high_freq_factor", 4.0f);
  rope.beta_fast = fields.Float("beta_fast", 32.0f);
  rope.beta_slow = fields.Float("beta_slow", 1.0f);
  rope.mscale = fields.Float("mscale", 0.0f);
  rope.mscale_all_dim = fields.Float("mscale_all_dim", 0.0f);
  rope.attention_factor = fields.Float("attention_factor", 0.0f);
  rope.truncate = fields.Bool("truncate", true);
  rope.short_factor = ReadFactors(fields, "short_factor");
  rope.long_factor = ReadFactors(fields, "long_factor");
}

}  // namespace

Status ReadHfRope(const nlohmann::json& json, const std::string& where, ModelConfig& config) {
  const nlohmann::json none = nlohmann::json::object();
  const nlohmann::json& params = Member(json, "rope_parameters", Member(json, "rope_scaling", none));
  // Models with two kinds of layers nest one object for each.
  const nlohmann::json& global = Member(params, "full_attention", params);
  const nlohmann::json& local = Member(params, "sliding_attention", none);
  const JsonFields outer_source(json), global_source(global), local_source(local);
  FieldReader outer(outer_source, where), fields(global_source, where, ""), local_fields(local_source, where);

  config.rope_theta = fields.Float("rope_theta", outer.Float("rope_theta", DefaultTheta(config.model_type)));
  if (config.model_type == "gemma3_text") {
    config.rope_local_theta = local_fields.Float("rope_theta", outer.Float("rope_local_base_freq", 10000.0f));
  }
  const float default_fraction = config.model_type == "qwen3_next" ? 0.25f : 1.0f;
  const float fraction = fields.Float("partial_rotary_factor", outer.Float("partial_rotary_factor", default_fraction));
  if (!(fraction >= 0.0f && fraction <= 1.0f)) outer.Fail("partial_rotary_factor", "is not between 0 and 1");
  const int head_dim = config.head_dim > 0 ? config.head_dim : config.hidden_size / config.num_attention_heads;
  config.rotary_dim = outer.status().ok() ? static_cast<int>(static_cast<float>(head_dim) * fraction) : 0;
  if (params.empty() && config.model_type == "gpt_oss") {
    config.rope_scaling = GptOssScaling();
  } else {
    ReadScaling(fields, config, outer.Int("original_max_position_embeddings", 0, 1, kMaxContext), config.rope_scaling);
  }
  for (const FieldReader* reader : {&outer, &fields, &local_fields}) RETURN_IF_ERROR(reader->status());
  return OkStatus();
}

}  // namespace millrace
