// Named shapes of synthetic models.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace {

// Sizes with their Hugging Face names; 0 means absent. Defaults are Llama's.
struct SynthShape {
  std::string_view name;
  std::string_view arch = "llama";  // GGUF's name of the architecture
  int hidden_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  int intermediate_size = 0;
  int vocab_size = 0;
  int max_position_embeddings = 0;
  bool tied = false;
  float rope_theta = 10000.0f;
  float rms_norm_eps = 1e-5f;
  float llama3_factor = 0.0f;  // factor of llama3 rope scaling from 8192 tokens, stored as rope_freqs
  int sliding_window = 0;
  int num_experts = 0;
  int num_experts_per_tok = 0;
  int moe_intermediate_size = 0;

  bool is(std::string_view name_of_arch) const { return arch == name_of_arch; }
};

const std::vector<SynthShape>& SynthShapes();
Result<SynthShape> FindSynthShape(std::string_view name);

}  // namespace millrace
