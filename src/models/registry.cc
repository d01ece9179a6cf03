#include <iterator>
#include <string_view>

#include "models/architectures.h"

namespace millrace {
namespace {

struct Architecture {
  std::string_view model_type;
  Result<std::unique_ptr<Model>> (*make)(DecoderBuilder& builder);
};

constexpr Architecture kArchitectures[] = {
    {"llama", MakeLlama},          {"mistral", MakeLlama}, {"qwen2", MakeLlama},
    {"phi3", MakeLlama},           {"smollm3", MakeLlama}, {"granite", MakeLlama},
    {"mixtral", MakeMixtral},      {"qwen3", MakeQwen3},   {"qwen3_moe", MakeQwen3},
    {"qwen3_next", MakeQwen3Next}, {"gemma2", MakeGemma},  {"gemma3_text", MakeGemma},
    {"olmo2", MakeOlmo2},          {"gpt2", MakeGpt2},     {"gpt_oss", MakeGptOss},
};

}  // namespace

Result<std::unique_ptr<Model>> LoadModel(const Checkpoint& checkpoint, const kernels::OpTable& ops,
                                         kernels::OpContext& context, const ModelOptions& options) {
  const std::string& type = checkpoint.config().model_type;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type != type) continue;
    const ModelConfig& config = checkpoint.config();
    if (ops.kv_layer_bytes(options.kv_cache_dtype, config.num_key_value_heads, config.head_dim) == 0) {
      return Unsupported("device {} has no {} KV cache for heads of {} values; try --kv-cache-dtype bf16", ops.device,
                         DTypeName(options.kv_cache_dtype), config.head_dim);
    }
    WeightLoader loader(checkpoint, ops, context);
    DecoderBuilder builder(loader, options);
    RETURN_IF_ERROR(builder.LoadHead());
    return architecture.make(builder);
  }
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", architecture.model_type);
  }
  return Unsupported("model type '{}' is not supported; supported are {}", type, known);
}

}  // namespace millrace
