#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/checked_math.h"
#include "commands.h"
#include "engine/memory_plan.h"
#include "engine/open.h"
#include "kernels/op_table.h"

namespace millrace {
namespace {

// KV bytes that one more token costs while no window is full, scales and padding included.
int64_t KvBytesPerToken(const ModelConfig& config, DType type) {
  const Result<const kernels::OpTable*> ops = kernels::CpuOpTable();
  if (!ops.ok()) return 0;
  int64_t layers = 0;
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    layers += config.layer_types.empty() || config.layer_types[static_cast<size_t>(i)] != LayerType::kLinearAttention;
  }
  return layers * (*ops)->kv_layer_bytes(type, config.num_key_value_heads, config.head_dim) / kKvBlockTokens;
}

Status Inspect(const std::string& model, bool as_json) {
  ASSIGN_OR_RETURN(const std::string path, ResolveModel(model));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Checkpoint> checkpoint, OpenModel(path));
  const ModelConfig& c = checkpoint->config();
  const CheckpointInfo& info = checkpoint->info();
  const int64_t kv_bf16 = KvBytesPerToken(c, DType::kBF16), kv_int8 = KvBytesPerToken(c, DType::kI8);
  const int64_t available = AvailableMemoryBytes();
  const int64_t kv_room =
      std::max<int64_t>(0, static_cast<int64_t>(0.8 * static_cast<double>(available - info.file_bytes)));
  const int64_t tokens_that_fit = kv_bf16 > 0 ? kv_room / kv_bf16 : 0;
  if (as_json) {
    const nlohmann::ordered_json out = {{"name", info.name},
                                        {"format", info.format},
                                        {"architecture", c.model_type},
                                        {"parameters", info.num_parameters},
                                        {"file_bytes", info.file_bytes},
                                        {"bytes_by_type", info.bytes_by_type},
                                        {"vocab_size", c.vocab_size},
                                        {"hidden_size", c.hidden_size},
                                        {"num_hidden_layers", c.num_hidden_layers},
                                        {"num_attention_heads", c.num_attention_heads},
                                        {"num_key_value_heads", c.num_key_value_heads},
                                        {"head_dim", c.head_dim},
                                        {"intermediate_size", c.intermediate_size},
                                        {"num_experts", c.num_experts},
                                        {"max_position_embeddings", c.max_position_embeddings},
                                        {"sliding_window", c.sliding_window},
                                        {"kv_bytes_per_token", {{"bf16", kv_bf16}, {"int8", kv_int8}}},
                                        {"available_bytes", available},
                                        {"fits", info.file_bytes < available},
                                        {"kv_tokens_that_fit", tokens_that_fit},
                                        {"chat_template", !checkpoint->chat_template().empty()}};
    std::printf("%s\n", out.dump(2).c_str());
    return OkStatus();
  }
  std::string types;
  for (const auto& [type, bytes] : info.bytes_by_type)
    types += fmt::format("{}{} {}", types.empty() ? "" : ", ", type, FormatBytes(bytes));
  fmt::print("name           {} ({})\n", info.name, info.format);
  const double millions = static_cast<double>(info.num_parameters) / 1e6;
  const std::string parameters =
      millions < 1e3 ? fmt::format("{:.1f} M", millions) : fmt::format("{:.2f} B", millions / 1e3);
  fmt::print("architecture   {}, {} parameters\n", c.model_type, parameters);
  fmt::print("file           {}: {}\n", FormatBytes(info.file_bytes), types);
  fmt::print("shape          {} layers, hidden {}, heads {}/{} of {}, intermediate {}, vocabulary {}\n",
             c.num_hidden_layers, c.hidden_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim,
             c.intermediate_size, c.vocab_size);
  if (c.num_experts > 0) fmt::print("experts        {}, {} per token\n", c.num_experts, c.num_experts_per_tok);
  fmt::print("context        {} tokens{}\n", c.max_position_embeddings,
             c.sliding_window > 0 ? fmt::format(", sliding window {}", c.sliding_window) : "");
  fmt::print("KV cache       {} per token in bf16, {} in int8\n", FormatBytes(kv_bf16), FormatBytes(kv_int8));
  fmt::print("chat template  {}\n", checkpoint->chat_template().empty() ? "none" : "yes");
  fmt::print("this machine   {} available: {}\n", FormatBytes(available),
             info.file_bytes < available
                 ? fmt::format("the weights fit, with {} tokens of bf16 KV cache", tokens_that_fit)
                 : std::string("the weights do not fit"));
  return OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App& app, int* exit_code) {
  auto model = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("inspect", "Show what a model is and whether it fits this machine");
  command->add_option("model", *model, "a .gguf file, a safetensors folder, a hub name, or synth:SHAPE:TYPE")
      ->required();
  command->add_flag("--json", *as_json, "print JSON");
  command->callback([=] { *exit_code = ReportStatus(Inspect(*model, *as_json)); });
}

}  // namespace millrace
