#include "model_loader/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <vector>

#include "base/dequantize.h"
#include "base/file.h"
#include "model_loader/synth/random_blocks.h"
#include "model_loader/synth/vocabulary.h"

namespace millrace {
namespace {

// Mean and standard deviation of the first rows of a tensor.
struct Moments {
  double mean = 0.0, deviation = 0.0;
};

Moments MomentsOf(const std::vector<float>& values) {
  double sum = 0.0, squares = 0.0;
  for (const float v : values) {
    EXPECT_TRUE(std::isfinite(v));
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  const double n = static_cast<double>(values.size()), mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean)};
}

TEST(Synth, RandomBlocksHaveTheWantedSpread) {
  constexpr int kValues = 1 << 16;
  constexpr float kSigma = 0.03f;
  for (int i = 0; i < static_cast<int>(DType::kCount); ++i) {
    const DType type = static_cast<DType>(i);
    if (type == DType::kI8 || type == DType::kI32 || type == DType::kI64) continue;
    std::vector<std::byte> bytes(static_cast<size_t>(RowBytes(type, kValues)));
    RandomBytes random(5);
    FillRandom(type, kSigma, kValues, random, bytes.data());
    std::vector<float> values(kValues);
    DequantizeRow(type, bytes.data(), values.data(), kValues);
    const Moments moments = MomentsOf(values);
    const double tolerance = type == DType::kMXFP4 ? 0.45 : 0.08;  // its scales are powers of two
    EXPECT_NEAR(moments.deviation, kSigma, tolerance * kSigma) << DTypeName(type);
    EXPECT_NEAR(moments.mean, 0.0, 0.02 * kSigma) << DTypeName(type);
  }
}

TEST(Synth, EveryTinyShapeOpensInEveryType) {
  for (const std::string& shape : SynthShapeNames()) {
    if (!shape.starts_with("tiny-")) continue;
    // Every type in one shape, the common ones in all.
    const std::vector<std::string> types =
        shape == "tiny-llama" ? SynthTypeNames() : std::vector<std::string>{"F32", "Q4_0", "Q4_K_M"};
    for (const std::string& type : types) {
      const auto checkpoint = MakeSynthCheckpoint(shape, type);
      ASSERT_TRUE(checkpoint.ok()) << shape << " " << type << ": " << checkpoint.status().message();
      const ModelConfig& config = (*checkpoint)->config();
      EXPECT_TRUE((*checkpoint)->Require("model.embed_tokens.weight", config.vocab_size, config.hidden_size).ok())
          << shape;
      EXPECT_EQ(config.tie_word_embeddings, (*checkpoint)->Find("lm_head.weight") == nullptr) << shape;
    }
  }
}

TEST(Synth, TypesAreMixedAsLlamaQuantizeDoes) {
  const auto q4_0 = MakeSynthCheckpoint("tiny-gpt2", "Q4_0");
  ASSERT_TRUE(q4_0.ok());
  EXPECT_EQ((*q4_0)->Find("model.embed_tokens.weight")->dtype, DType::kQ6_K);
  EXPECT_EQ((*q4_0)->Find("model.layers.0.mlp.down_proj.weight")->dtype, DType::kQ4_0);
  EXPECT_EQ((*q4_0)->Find("model.embed_positions.weight")->dtype, DType::kF32);
  const auto q4_k_m = MakeSynthCheckpoint("tiny-gemma3", "Q4_K_M");
  ASSERT_TRUE(q4_k_m.ok());
  // Of six layers, every third and those from 7 * 6 / 8 = 5 on get more bits.
  const std::vector<DType> down = {DType::kQ4_K, DType::kQ4_K, DType::kQ6_K, DType::kQ4_K, DType::kQ4_K, DType::kQ6_K};
  for (size_t i = 0; i < down.size(); ++i) {
    EXPECT_EQ((*q4_k_m)->Find(fmt::format("model.layers.{}.mlp.down_proj.weight", i))->dtype, down[i]) << i;
    EXPECT_EQ((*q4_k_m)->Find(fmt::format("model.layers.{}.self_attn.v_proj.weight", i))->dtype, down[i]) << i;
    EXPECT_EQ((*q4_k_m)->Find(fmt::format("model.layers.{}.mlp.up_proj.weight", i))->dtype, DType::kQ4_K) << i;
  }
}

TEST(Synth, BytesDependOnTheSeedAlone) {
  const std::string folder = testing::TempDir();
  const std::string a = folder + "/synth_a.gguf", b = folder + "/synth_b.gguf", c = folder + "/synth_c.gguf";
  ASSERT_TRUE(WriteSynthGguf("tiny-qwen3-moe", "Q4_K_M", a, 7).ok());
  ASSERT_TRUE(WriteSynthGguf("tiny-qwen3-moe", "Q4_K_M", b, 7).ok());
  ASSERT_TRUE(WriteSynthGguf("tiny-qwen3-moe", "Q4_K_M", c, 8).ok());
  const auto read = [](const std::string& path) { return ReadFile(path, 1 << 26).value(); };
  EXPECT_EQ(read(a), read(b));
  EXPECT_NE(read(a), read(c));
  for (const std::string& path : {a, b, c}) std::filesystem::remove(path);
}

TEST(Synth, VocabularyIsValid) {
  const SynthVocabulary vocabulary = MakeSynthVocabulary(151936);
  EXPECT_EQ(vocabulary.tokens.size(), 151936u);
  EXPECT_EQ(vocabulary.types.size(), 151936u);
  EXPECT_EQ(vocabulary.merges.size(), 151936u - 256 - 4);
  const std::set<std::string> distinct(vocabulary.tokens.begin(), vocabulary.tokens.end());
  EXPECT_EQ(distinct.size(), vocabulary.tokens.size());
  std::set<std::string> known(vocabulary.tokens.begin(), vocabulary.tokens.begin() + 256);
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ');
    ASSERT_TRUE(known.contains(merge.substr(0, space)) && known.contains(merge.substr(space + 1))) << merge;
    known.insert(merge.substr(0, space) + merge.substr(space + 1));
  }
}

TEST(Synth, TokenizerOfAShapeRoundTripsText) {
  const auto checkpoint = MakeSynthCheckpoint("tiny-qwen3", "Q8_0");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto tokenizer = (*checkpoint)->MakeTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->vocab_size(), (*checkpoint)->config().vocab_size);
  const std::string text = "The quick brown fox, \xC3\xA9t\xC3\xA9 2026!\n";
  EXPECT_EQ((*tokenizer)->Decode((*tokenizer)->Encode(text)), text);
  EXPECT_FALSE((*checkpoint)->chat_template().empty());
}

TEST(Synth, UnknownNamesAreRefusedWithTheList) {
  const auto shape = MakeSynthCheckpoint("llama-9-1b", "Q4_0");
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(shape.status().message().find("llama-3.2-1b"), std::string::npos);
  const auto type = MakeSynthCheckpoint("tiny-llama", "Q9_0");
  ASSERT_FALSE(type.ok());
  EXPECT_NE(type.status().message().find("Q4_K_M"), std::string::npos);
}

}  // namespace
}  // namespace millrace
