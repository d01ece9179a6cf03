#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "model_loader/checkpoint.h"

namespace millrace {
namespace {

std::string DataPath(const std::string& relative) {
  const char* data = std::getenv("MILLRACE_DATA");
  const std::string root = data != nullptr && *data != '\0' ? data : MILLRACE_SOURCE_DIR "/../shared/data";
  return root + "/" + relative;
}

TEST(GgufCheckpoint, ReadsStories260K) {
  const std::string path = DataPath("weights/stories260K/stories260Ktok512.gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path;
  const auto checkpoint = OpenCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const ModelConfig& config = (*checkpoint)->config();
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 172);
  EXPECT_EQ(config.num_hidden_layers, 5);
  EXPECT_EQ(config.num_attention_heads, 8);
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.rotary_dim, 8);
  EXPECT_EQ(config.rope_layout, RopeLayout::kInterleaved);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, std::vector<TokenId>{2});
  EXPECT_EQ((*checkpoint)->tensors().size(), 48u);
  EXPECT_EQ((*checkpoint)->info().num_parameters,
            512 * 64 * 2 + 64 + 5 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 172 + 2 * 64));
  EXPECT_TRUE((*checkpoint)->Require("model.layers.4.mlp.down_proj.weight", 64, 172).ok());
  EXPECT_TRUE((*checkpoint)->Require("model.layers.0.self_attn.k_proj.weight", 32, 64).ok());
  EXPECT_TRUE((*checkpoint)->Require("lm_head.weight", 512, 64).ok());
  const auto wrong = (*checkpoint)->Require("model.norm.weight", 1, 65);
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.status().message().find("model.norm.weight is 1 x 64, expected 1 x 65"), std::string::npos);
}

TEST(GgufCheckpoint, MakesTheTokenizerOfStories260K) {
  const std::string path = DataPath("weights/stories260K/stories260Ktok512.gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path;
  const auto checkpoint = OpenCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto tokenizer = (*checkpoint)->MakeTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->vocab_size(), 512);
  const std::string text = "Once upon a time, there was a little girl named Lily.";
  const std::vector<TokenId> ids = (*tokenizer)->Encode(text);
  EXPECT_LT(ids.size(), text.size() / 2);
  EXPECT_EQ((*tokenizer)->Decode(ids), text);
}

}  // namespace
}  // namespace millrace
