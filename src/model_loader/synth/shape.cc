#include "model_loader/synth/shape.h"

#include <algorithm>

namespace millrace {
namespace {

// A model of two layers (four where layers differ) in a given architecture; widths are multiples of 256, so that every
// type fits.
SynthShape Tiny(std::string_view name, std::string_view arch) {
  SynthShape shape{.name = name,
                   .arch = arch,
                   .hidden_size = 256,
                   .num_hidden_layers = 2,
                   .num_attention_heads = 4,
                   .num_key_value_heads = 2,
                   .head_dim = 64,
                   .intermediate_size = 512,
                   .vocab_size = 512,
                   .max_position_embeddings = 2048};
  if (arch == "gemma2" || arch == "gemma3" || arch == "gpt-oss") shape.sliding_window = 32;
  if (arch == "gemma3") shape.num_hidden_layers = 6;
  if (arch == "qwen3next" || arch == "smollm3") shape.num_hidden_layers = 4;
  shape.tied = arch == "gemma2" || arch == "gemma3" || arch == "gpt2" || arch == "smollm3";
  if (arch == "gpt2") shape.num_key_value_heads = shape.num_attention_heads;
  if (name == "tiny-mixtral" || arch == "qwen3moe" || arch == "gpt-oss" || arch == "qwen3next") {
    shape.num_experts = 4;
    shape.num_experts_per_tok = 2;
    shape.moe_intermediate_size = 256;
    if (name == "tiny-mixtral") shape.intermediate_size = 256;
  }
  return shape;
}

// llama.cpp expects special tokens of a model whose name contains "phi3", hence tiny-phi4.
std::vector<SynthShape> MakeShapes() {
  const SynthShape llama3{.hidden_size = 4096,
                          .num_hidden_layers = 32,
                          .num_attention_heads = 32,
                          .num_key_value_heads = 8,
                          .head_dim = 128,
                          .intermediate_size = 14336,
                          .vocab_size = 128256,
                          .max_position_embeddings = 131072,
                          .rope_theta = 500000.0f,
                          .llama3_factor = 8.0f};
  const SynthShape qwen3{.arch = "qwen3",
                         .hidden_size = 1024,
                         .num_hidden_layers = 28,
                         .num_attention_heads = 16,
                         .num_key_value_heads = 8,
                         .head_dim = 128,
                         .intermediate_size = 3072,
                         .vocab_size = 151936,
                         .max_position_embeddings = 40960,
                         .tied = true,
                         .rope_theta = 1e6f,
                         .rms_norm_eps = 1e-6f};
  std::vector<SynthShape> shapes;
  const auto add = [&](SynthShape shape, std::string_view name) -> SynthShape& {
    shape.name = name;
    return shapes.emplace_back(shape);
  };
  SynthShape& b1 = add(llama3, "llama-3.2-1b");
  b1.hidden_size = 2048, b1.num_hidden_layers = 16, b1.head_dim = 64, b1.intermediate_size = 8192, b1.tied = true,
  b1.llama3_factor = 32.0f;
  SynthShape& b3 = add(llama3, "llama-3.2-3b");
  b3.hidden_size = 3072, b3.num_hidden_layers = 28, b3.num_attention_heads = 24, b3.intermediate_size = 8192,
  b3.tied = true;
  b3.llama3_factor = 32.0f;
  add(llama3, "llama-3.1-8b");
  SynthShape& b70 = add(llama3, "llama-3.1-70b");
  b70.hidden_size = 8192, b70.num_hidden_layers = 80, b70.num_attention_heads = 64, b70.intermediate_size = 28672;
  add(qwen3, "qwen3-0.6b");
  SynthShape& q4 = add(qwen3, "qwen3-4b");
  q4.hidden_size = 2560, q4.num_hidden_layers = 36, q4.num_attention_heads = 32, q4.intermediate_size = 9728;
  SynthShape& q8 = add(qwen3, "qwen3-8b");
  q8.hidden_size = 4096, q8.num_hidden_layers = 36, q8.num_attention_heads = 32, q8.intermediate_size = 12288,
  q8.tied = false;
  SynthShape& moe = add(qwen3, "qwen3-30b-a3b");
  moe.arch = "qwen3moe", moe.hidden_size = 2048, moe.num_hidden_layers = 48, moe.num_attention_heads = 32,
  moe.num_key_value_heads = 4;
  moe.intermediate_size = 6144, moe.tied = false, moe.num_experts = 128, moe.num_experts_per_tok = 8,
  moe.moe_intermediate_size = 768;
  SynthShape& oss = add(SynthShape{}, "gpt-oss-20b");
  oss.arch = "gpt-oss", oss.hidden_size = 2880, oss.num_hidden_layers = 24, oss.num_attention_heads = 64,
  oss.num_key_value_heads = 8;
  oss.head_dim = 64, oss.intermediate_size = 2880, oss.vocab_size = 201088, oss.max_position_embeddings = 131072,
  oss.rope_theta = 150000.0f;
  oss.sliding_window = 128, oss.num_experts = 32, oss.num_experts_per_tok = 4, oss.moe_intermediate_size = 2880;
  for (const auto& [name, arch] : {std::pair{"tiny-llama", "llama"},
                                   {"tiny-mixtral", "llama"},
                                   {"tiny-qwen2", "qwen2"},
                                   {"tiny-qwen3", "qwen3"},
                                   {"tiny-qwen3-moe", "qwen3moe"},
                                   {"tiny-qwen3-next", "qwen3next"},
                                   {"tiny-gemma2", "gemma2"},
                                   {"tiny-gemma3", "gemma3"},
                                   {"tiny-phi4", "phi3"},
                                   {"tiny-smollm3", "smollm3"},
                                   {"tiny-olmo2", "olmo2"},
                                   {"tiny-granite", "granite"},
                                   {"tiny-gpt2", "gpt2"},
                                   {"tiny-gpt-oss", "gpt-oss"}}) {
    shapes.push_back(Tiny(name, arch));
  }
  return shapes;
}

}  // namespace

const std::vector<SynthShape>& SynthShapes() {
  static const std::vector<SynthShape> shapes = MakeShapes();
  return shapes;
}

Result<SynthShape> FindSynthShape(std::string_view name) {
  std::vector<std::string_view> names;
  for (const SynthShape& shape : SynthShapes()) {
    if (shape.name == name) return shape;
    names.push_back(shape.name);
  }
  return InvalidArgument("there is no shape {}, expected one of {}", name, fmt::join(names, ", "));
}

}  // namespace millrace
