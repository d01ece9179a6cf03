#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/load.h"
#include "tokenizer/test_data.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::GgufMetadata;
using testing::ReadVectors;
using testing::TokenizerFile;

// The ids that llama.cpp's conversion script got from each model's own tokenizer.
class GgufVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufVectors, EncodeAsPublished) {
  const std::string name = GetParam();
  const std::string path = TokenizerFile("ggml-vocab/ggml-vocab-" + name + ".gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto tokenizer = MakeTokenizer(GgufMetadata::ReadVocab(path));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const auto vectors = ReadVectors(name);
  EXPECT_GE(vectors.size(), 46u);
  for (const auto& vector : vectors) {
    EXPECT_THAT((*tokenizer)->Encode(vector.text), ElementsAreArray(vector.ids)) << '"' << vector.text << '"';
  }
}

INSTANTIATE_TEST_SUITE_P(All, GgufVectors,
                         ::testing::Values("gpt-2", "deepseek-llm", "llama-spm", "phi-3", "bert-bge"));

}  // namespace
}  // namespace millrace
