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

TEST(SafetensorsCheckpoint, ReadsTinyStories656k) {
  const std::string path = DataPath("weights/tinystories-656k");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path;
  const auto checkpoint = OpenCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const ModelConfig& config = (*checkpoint)->config();
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.rope_layout, RopeLayout::kHalf);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, std::vector<TokenId>{2});
  EXPECT_EQ((*checkpoint)->Find("lm_head.weight"), nullptr);
  EXPECT_TRUE((*checkpoint)->Require("model.embed_tokens.weight", 2048, 128).ok());
  EXPECT_TRUE((*checkpoint)->Require("model.layers.1.mlp.down_proj.weight", 128, 384).ok());
  EXPECT_EQ((*checkpoint)->info().num_parameters,
            2048 * 128 + 128 + 2 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 128 * 384 + 2 * 128));
}

}  // namespace
}  // namespace millrace
