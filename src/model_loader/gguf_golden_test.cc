// The tiny checkpoints of tests/golden/models and what llama.cpp's converter makes of them (tests/golden/gguf) mean the
// same model.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "base/dequantize.h"
#include "base/half.h"
#include "model_loader/checkpoint.h"

namespace millrace {
namespace {

constexpr const char* kCases[] = {
    "llama-llama3-rope", "llama-yarn-rope", "qwen2",   "qwen3", "gemma2",  "gemma3",    "phi3",
    "smollm3",           "olmo2",           "granite", "gpt2",  "mixtral", "qwen3-moe", "gpt-oss",
    "qwen3-next"};

std::vector<float> Values(const WeightTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.cols));
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.bytes()));
  if (tensor.data != nullptr) {
    bytes.assign(tensor.data, tensor.data + tensor.bytes());
  } else {
    // In two pieces, so that a gather that ignores its first row shows.
    const int64_t half = tensor.rows / 2;
    tensor.gather(0, half, bytes.data());
    tensor.gather(half, tensor.rows - half, bytes.data() + half * tensor.row_bytes());
  }
  DequantizeRow(tensor.dtype, bytes.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

// The rows of q and k as GGUF's Llama family orders them: within a head, row 2 i + half is Hugging Face's row i + half
// * head_dim / 2.
std::vector<float> Permuted(const std::vector<float>& values, int64_t rows, int64_t cols, int64_t head_dim) {
  std::vector<float> out(values.size());
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t inside = r % head_dim;
    const int64_t source = r - inside + inside / 2 + inside % 2 * (head_dim / 2);
    for (int64_t c = 0; c < cols; ++c)
      out[static_cast<size_t>(r * cols + c)] = values[static_cast<size_t>(source * cols + c)];
  }
  return out;
}

bool IsOffsetNorm(std::string_view name) {
  return name.ends_with("norm.weight") && !name.ends_with("linear_attn.norm.weight");
}

// The Hugging Face tensor in the conventions of the GGUF configuration.
std::vector<float> Expected(const Checkpoint& hf, const Checkpoint& gguf, const WeightTensor& tensor) {
  std::vector<float> values = Values(tensor);
  const std::string& name = tensor.name;
  const bool is_layer_norm = IsOffsetNorm(name) || name.ends_with("layernorm.weight");
  const float offset = hf.config().norm_weight_offset - gguf.config().norm_weight_offset;
  for (float& value : values) value += is_layer_norm ? offset : 0.0f;
  const bool query_or_key = name.find("q_proj.") != std::string::npos || name.find("k_proj.") != std::string::npos;
  if (gguf.config().rope_layout == RopeLayout::kInterleaved && query_or_key) {
    values = Permuted(values, tensor.rows, tensor.cols, hf.config().head_dim);
  }
  return values;
}

void CompareWeights(const Checkpoint& hf, const Checkpoint& gguf) {
  for (const WeightTensor* tensor : hf.tensors()) {
    const WeightTensor* other = gguf.Find(tensor->name);
    ASSERT_NE(other, nullptr) << tensor->name;
    ASSERT_EQ(other->rows * other->cols, tensor->rows * tensor->cols) << tensor->name;
    const std::vector<float> expected = Expected(hf, gguf, *tensor), found = Values(*other);
    const bool logarithm = tensor->name.ends_with("A_log");
    for (size_t i = 0; i < expected.size(); ++i) {
      const float rounded = other->dtype == DType::kF16 ? F16ToF32(F32ToF16(expected[i])) : expected[i];
      if (logarithm) {
        ASSERT_NEAR(found[i], rounded, 1e-6f) << tensor->name << " value " << i;
      } else {
        ASSERT_EQ(found[i], rounded) << tensor->name << " value " << i;
      }
    }
  }
  EXPECT_EQ(gguf.tensors().size() >= hf.tensors().size(), true);
}

void CompareRope(const ModelConfig& hf, const ModelConfig& gguf) {
  EXPECT_EQ(gguf.rope_theta, hf.rope_theta);
  EXPECT_EQ(gguf.rotary_dim, hf.rotary_dim);
  EXPECT_EQ(gguf.no_rope_layers, hf.no_rope_layers);
  const RopeScaling &a = gguf.rope_scaling, &b = hf.rope_scaling;
  if (b.type == RopeScalingType::kLlama3) {
    EXPECT_EQ(a.freq_factors.size(), static_cast<size_t>(hf.rotary_dim) / 2);
    return;
  }
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.factor, b.factor);
  EXPECT_EQ(a.short_factor, b.short_factor);
  EXPECT_EQ(a.long_factor, b.long_factor);
  EXPECT_EQ(a.truncate, b.truncate);
  EXPECT_EQ(a.beta_fast, b.beta_fast);
  EXPECT_EQ(a.beta_slow, b.beta_slow);
  EXPECT_EQ(a.original_max_position_embeddings, b.original_max_position_embeddings);
}

void CompareConfigs(const ModelConfig& hf, const ModelConfig& gguf) {
  EXPECT_EQ(gguf.model_type, hf.model_type);
  EXPECT_EQ(gguf.vocab_size, hf.vocab_size);
  EXPECT_EQ(gguf.hidden_size, hf.hidden_size);
  EXPECT_EQ(gguf.num_hidden_layers, hf.num_hidden_layers);
  EXPECT_EQ(gguf.num_attention_heads, hf.num_attention_heads);
  EXPECT_EQ(gguf.num_key_value_heads, hf.num_key_value_heads);
  EXPECT_EQ(gguf.head_dim, hf.head_dim);
  EXPECT_EQ(gguf.max_position_embeddings, hf.max_position_embeddings);
  EXPECT_EQ(gguf.rms_norm_eps, hf.rms_norm_eps);
  EXPECT_EQ(gguf.hidden_act, hf.hidden_act);
  EXPECT_EQ(gguf.tie_word_embeddings, hf.tie_word_embeddings);
  EXPECT_EQ(gguf.sliding_window, hf.sliding_window);
  EXPECT_EQ(gguf.attn_logit_softcapping, hf.attn_logit_softcapping);
  EXPECT_EQ(gguf.final_logit_softcapping, hf.final_logit_softcapping);
  EXPECT_EQ(gguf.embedding_multiplier, hf.embedding_multiplier);
  EXPECT_EQ(gguf.attention_multiplier, hf.attention_multiplier);
  EXPECT_EQ(gguf.residual_multiplier, hf.residual_multiplier);
  EXPECT_EQ(gguf.logits_scaling, hf.logits_scaling);
  EXPECT_EQ(gguf.num_experts, hf.num_experts);
  EXPECT_EQ(gguf.num_experts_per_tok, hf.num_experts_per_tok);
  EXPECT_EQ(gguf.moe_intermediate_size, hf.moe_intermediate_size);
  EXPECT_EQ(gguf.shared_expert_intermediate_size, hf.shared_expert_intermediate_size);
  EXPECT_EQ(gguf.norm_topk_prob, hf.norm_topk_prob);
  EXPECT_EQ(gguf.linear_num_key_heads, hf.linear_num_key_heads);
  EXPECT_EQ(gguf.linear_num_value_heads, hf.linear_num_value_heads);
  EXPECT_EQ(gguf.linear_key_head_dim, hf.linear_key_head_dim);
  EXPECT_EQ(gguf.linear_value_head_dim, hf.linear_value_head_dim);
  EXPECT_EQ(gguf.linear_conv_kernel_dim, hf.linear_conv_kernel_dim);
  // A GGUF file of Gemma 3 has no pattern; the goldens' four layers differ from the six of the published models.
  if (hf.model_type != "gemma3_text") {
    EXPECT_EQ(gguf.layer_types, hf.layer_types);
  }
  CompareRope(hf, gguf);
}

TEST(GgufGolden, EveryArchitectureMeansTheSameAsItsSafetensors) {
  for (const char* name : kCases) {
    SCOPED_TRACE(name);
    const std::string golden = MILLRACE_SOURCE_DIR "/tests/golden/";
    const auto hf = OpenCheckpoint(golden + "models/" + name);
    ASSERT_TRUE(hf.ok()) << hf.status().message();
    const auto gguf = OpenCheckpoint(golden + "gguf/" + name + ".gguf");
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    CompareConfigs((*hf)->config(), (*gguf)->config());
    CompareWeights(**hf, **gguf);
  }
}

TEST(GgufGolden, DeltaNetProjectionsAreOfferedInBothOrders) {
  const std::string golden = MILLRACE_SOURCE_DIR "/tests/golden/";
  const auto hf = OpenCheckpoint(golden + "models/qwen3-next");
  const auto gguf = OpenCheckpoint(golden + "gguf/qwen3-next.gguf");
  ASSERT_TRUE(hf.ok() && gguf.ok());
  for (const char* part : {"in_proj_qkvz", "in_proj_qkv", "in_proj_z", "in_proj_ba", "in_proj_b", "in_proj_a"}) {
    const std::string name = fmt::format("model.layers.0.linear_attn.{}.weight", part);
    ASSERT_NE((*hf)->Find(name), nullptr) << name;
    ASSERT_NE((*gguf)->Find(name), nullptr) << name;
    std::vector<float> expected = Values(*(*hf)->Find(name));
    for (float& value : expected) value = F16ToF32(F32ToF16(value));
    EXPECT_EQ(Values(*(*gguf)->Find(name)), expected) << name;
  }
}

}  // namespace
}  // namespace millrace
