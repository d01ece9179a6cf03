// Prompts for fill-in-the-middle, with a vocabulary that has the tokens for it.
#include "server/prompts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tokenizer/load.h"

namespace millrace {
namespace {

constexpr const char* kTokenizer = R"({
  "version": "1.0", "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
  "added_tokens": [
    {"id": 4, "content": "<|fim_prefix|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 5, "content": "<|fim_suffix|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 6, "content": "<|fim_middle|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3}, "merges": []}})";

TEST(FillInTheMiddle, PrefixSuffixMiddle) {
  const Result<std::unique_ptr<Tokenizer>> tokenizer = LoadTokenizerJson(kTokenizer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  std::vector<Prompt> prompts = {{.token_ids = {0, 1}, .text = "ab"}, {.token_ids = {2}, .text = "c"}};
  ASSERT_TRUE(InsertSuffix(**tokenizer, "dc", prompts).ok());
  EXPECT_EQ(prompts[0].token_ids, (std::vector<TokenId>{4, 0, 1, 5, 3, 2, 6}));
  EXPECT_EQ(prompts[1].token_ids, (std::vector<TokenId>{4, 2, 5, 3, 2, 6}));
  prompts = {{.token_ids = {0}, .text = "a"}};
  ASSERT_TRUE(InsertSuffix(**tokenizer, "<|fim_middle|>", prompts).ok());
  EXPECT_EQ(std::count(prompts[0].token_ids.begin(), prompts[0].token_ids.end(), 6), 1)
      << "a control token came from text";
}

}  // namespace
}  // namespace millrace
