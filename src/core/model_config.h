// ModelConfig: what a model is, read from a GGUF header or a config.json. Fields keep their Hugging Face names and
// meaning; where a GGUF file stores weights in another convention, a field below says which one holds, so that model
// code has no format cases.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.h"

namespace millrace {

enum class RopeScalingType { kNone, kLinear, kDynamic, kYarn, kLlama3, kLongRope };

struct RopeScaling {
  RopeScalingType type = RopeScalingType::kNone;
  float factor = 1.0f;
  int original_max_position_embeddings = 0;  // 0: max_position_embeddings
  float low_freq_factor = 1.0f;              // llama3
  float high_freq_factor = 4.0f;             // llama3
  float beta_fast = 32.0f;                   // yarn
  float beta_slow = 1.0f;                    // yarn
  float mscale = 0.0f;                       // yarn (DeepSeek); 0: absent
  float mscale_all_dim = 0.0f;               // yarn (DeepSeek)
  float attention_factor = 0.0f;             // yarn, longrope; 0: derived as transformers does
  bool truncate = true;                      // yarn; GPT-OSS says false
  std::vector<float> short_factor;           // longrope, [rotary_dim / 2]
  std::vector<float> long_factor;            // longrope, [rotary_dim / 2]
  // GGUF rope_freqs.weight: a divisor for every frequency, [rotary_dim / 2]; replaces llama3 scaling. Empty: absent.
  std::vector<float> freq_factors;
};

enum class RopeLayout {
  kHalf,         // pairs (i, i + rotary_dim / 2): Hugging Face, GGUF "neox"
  kInterleaved,  // pairs (2i, 2i + 1): GGUF files of Llama-family models, whose q and k rows are permuted
};

enum class LayerType { kFullAttention, kSlidingAttention, kLinearAttention };

enum class Activation { kSilu, kGeluTanh, kGeluErf, kSwigluOai, kRelu2 };

struct ModelConfig {
  std::string model_type;  // Hugging Face name: "llama", "qwen3", "gemma2", "gemma3_text", "gpt2", "gpt_oss", ...
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  int max_position_embeddings = 0;
  float rms_norm_eps = 1e-5f;  // also LayerNorm's epsilon
  Activation hidden_act = Activation::kSilu;
  bool tie_word_embeddings = false;

  // Position encoding.
  float rope_theta = 10000.0f;
  float rope_local_theta = 0.0f;  // rope_local_base_freq of Gemma 3: for sliding layers; 0: rope_theta, scaled like it
  int rotary_dim = 0;             // head_dim * partial_rotary_factor
  RopeScaling rope_scaling;
  RopeLayout rope_layout = RopeLayout::kHalf;
  std::vector<bool> no_rope_layers;  // true where a layer has no rope (SmolLM 3); empty: rope everywhere

  // Attention.
  std::vector<LayerType> layer_types;    // [num_hidden_layers]
  int sliding_window = 0;                // tokens seen by a sliding layer, itself included; 0: none
  float query_pre_attn_scalar = 0.0f;    // scores are scaled by 1/sqrt of this; 0: head_dim
  float attn_logit_softcapping = 0.0f;   // 0: none
  float final_logit_softcapping = 0.0f;  // 0: none
  float norm_weight_offset = 0.0f;       // added to RMSNorm weights: 1 for Gemma and Qwen3-Next in Hugging Face format

  // Scalars of Granite; 1 (0 for attention_multiplier: unused) elsewhere. embedding_multiplier is sqrt(hidden_size) for
  // Gemma.
  float embedding_multiplier = 1.0f;
  float attention_multiplier = 0.0f;
  float residual_multiplier = 1.0f;
  float logits_scaling = 1.0f;  // logits are divided by this

  // Mixture of experts; num_experts == 0 for dense models.
  int num_experts = 0;
  int num_experts_per_tok = 0;
  int moe_intermediate_size = 0;
  int shared_expert_intermediate_size = 0;
  bool norm_topk_prob = true;
  int decoder_sparse_step = 1;
  std::vector<int> mlp_only_layers;
  float swiglu_limit = 7.0f;  // GPT-OSS clamp

  // Gated delta net (Qwen3-Next).
  int linear_num_key_heads = 0;
  int linear_num_value_heads = 0;
  int linear_key_head_dim = 0;
  int linear_value_head_dim = 0;
  int linear_conv_kernel_dim = 0;

  // Generation defaults of the checkpoint.
  std::optional<TokenId> bos_token_id;
  std::vector<TokenId> eos_token_ids;
};

}  // namespace millrace
