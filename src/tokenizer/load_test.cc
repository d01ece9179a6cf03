#include "tokenizer/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tokenizer/test_golden.h"

namespace millrace {
namespace {

using ::testing::Contains;
using testing::DataFolder;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::GoldenFile;
using testing::Ids;
using testing::ReadGolden;
using testing::ReadVectors;
using testing::Slurp;
using testing::TokenizerFile;

std::unique_ptr<Tokenizer> LoadFolder(const std::string& name) {
  auto tokenizer = LoadTokenizerFromFolder(TokenizerFile(name));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

void ExpectVectors(const Tokenizer& tokenizer, const std::string& name) {
  const auto vectors = ReadVectors(name);
  EXPECT_GE(vectors.size(), 46u);
  for (const auto& vector : vectors) {
    EXPECT_THAT(tokenizer.Encode(vector.text), ElementsAreArray(vector.ids)) << '"' << vector.text << '"';
    EXPECT_EQ(tokenizer.Decode(vector.ids), vector.text);
  }
}

TEST(LoadTokenizerFromFolder, Llama3RankFile) {
  if (!std::filesystem::exists(TokenizerFile("llama3"))) GTEST_SKIP() << "no llama3";
  const auto tokenizer = LoadFolder("llama3");
  ASSERT_NE(tokenizer, nullptr);
  ExpectVectors(*tokenizer, "llama-bpe");
  EXPECT_EQ(tokenizer->vocab_size(), 128256);
  EXPECT_EQ(tokenizer->bos_id(), 128000);
  EXPECT_THAT(tokenizer->end_ids(), ElementsAre(128001, 128008, 128009));
  const std::string chat = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>";
  EXPECT_THAT(tokenizer->Encode(chat, {true, true}), ElementsAre(128000, 128006, 882, 128007, 271, 13347, 128009));
  for (const TokenId id : tokenizer->Encode(chat)) EXPECT_LT(id, 128000);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(chat)), chat);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(chat, {true, true})), "user\n\nHi");
}

TEST(LoadTokenizerFromFolder, Qwen2VocabAndMerges) {
  if (!std::filesystem::exists(TokenizerFile("qwen2.5"))) GTEST_SKIP() << "no qwen2.5";
  const auto tokenizer = LoadFolder("qwen2.5");
  ASSERT_NE(tokenizer, nullptr);
  ExpectVectors(*tokenizer, "qwen2");
  EXPECT_EQ(tokenizer->eos_id(), 151645);
  EXPECT_THAT(tokenizer->end_ids(), ElementsAre(151643, 151645));
  EXPECT_THAT(tokenizer->Encode("<|im_start|>a<|im_end|>", {false, true}), ElementsAre(151644, 64, 151645));
  EXPECT_EQ(tokenizer->Kind(151657), TokenKind::kUserDefined);  // <tool_call>
  EXPECT_THAT(tokenizer->Encode("<tool_call>"), ElementsAre(151657));
  EXPECT_EQ(tokenizer->TokenBytes(151644), "");
  EXPECT_EQ(tokenizer->TokenText(151644), "<|im_start|>");
}

TEST(LoadTokenizerFromFolder, Gpt2SameFromBothForms) {
  const std::string vocab = Slurp(TokenizerFile("gpt2/vocab.json"));
  if (vocab.empty()) GTEST_SKIP() << "no gpt2";
  const auto from_json = LoadFolder("gpt2");
  const auto from_merges = LoadVocabAndMerges(vocab, Slurp(TokenizerFile("gpt2/merges.txt")));
  ASSERT_NE(from_json, nullptr);
  ASSERT_TRUE(from_merges.ok()) << from_merges.status().message();
  const std::string text = Slurp((DataFolder() / "text" / "wikitext-2-test.raw").string()).substr(0, 300000);
  EXPECT_EQ(from_json->Encode(text), (*from_merges)->Encode(text));
  EXPECT_EQ(from_json->Decode(from_json->Encode(text)), text);
}

struct Plan {
  std::string encoding, sample;
  std::vector<TokenId> ids;
};

// TestPlans.txt of a tiktoken port: "EncodingName: x", "Sample: text", "Encoded: [ids]"; a sample may span lines.
std::vector<Plan> ReadPlans() {
  const std::string text = Slurp(TokenizerFile("tiktoken/TestPlans.txt"));
  std::vector<Plan> plans;
  size_t at = 0;
  while ((at = text.find("EncodingName: ", at)) != std::string::npos) {
    Plan plan;
    const size_t sample = text.find("\nSample: ", at);
    const size_t encoded = text.find("\nEncoded: [", at);
    plan.encoding = text.substr(at + 14, sample - at - 14);
    while (plan.encoding.ends_with('\r')) plan.encoding.pop_back();
    plan.sample = text.substr(sample + 9, encoded - sample - 9);
    std::string ids = text.substr(encoded + 11, text.find(']', encoded) - encoded - 11);
    std::replace(ids.begin(), ids.end(), ',', ' ');
    std::istringstream stream(ids);
    for (TokenId id; stream >> id;) plan.ids.push_back(id);
    plans.push_back(std::move(plan));
    at = encoded;
  }
  return plans;
}

void ExpectPlans(const Tokenizer& tokenizer, const std::string& encoding) {
  int count = 0;
  for (const Plan& plan : ReadPlans()) {
    if (plan.encoding != encoding) continue;
    ++count;
    EXPECT_THAT(tokenizer.Encode(plan.sample), ElementsAreArray(plan.ids)) << plan.sample;
  }
  EXPECT_GT(count, 10);
}

TEST(LoadTiktoken, TestPlansO200k) {
  const std::string ranks = Slurp(TokenizerFile("tiktoken/o200k_base.tiktoken"));
  if (ranks.empty()) GTEST_SKIP() << "no o200k_base.tiktoken";
  const auto tokenizer = LoadTiktoken(ranks);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  ExpectPlans(**tokenizer, "o200k_base");
}

TEST(LoadVocabAndMerges, TestPlansR50k) {
  if (!std::filesystem::exists(TokenizerFile("gpt2"))) GTEST_SKIP() << "no gpt2";
  ExpectPlans(*LoadFolder("gpt2"), "r50k_base");
}

TEST(LoadTiktoken, SameIdsAsTiktoken) {
  const JsonDocument golden = ReadGolden("tiktoken.json");
  const JsonValue texts = golden.root()["texts"];
  for (const auto& [name, file] :
       {std::pair("llama3", "llama3/tokenizer.model"), std::pair("o200k", "tiktoken/o200k_base.tiktoken")}) {
    const std::string ranks = Slurp(TokenizerFile(file));
    if (ranks.empty()) GTEST_SKIP() << "no " << file;
    const auto tokenizer = LoadTiktoken(ranks);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    for (size_t i = 0; i < texts.get_array().size(); ++i) {
      const std::string text(std::string_view(texts.at(i)));
      const auto ids = Ids(golden.root()["tokenizers"][name]["plain"].at(i));
      EXPECT_THAT((*tokenizer)->Encode(text), ElementsAreArray(ids)) << name << " text " << i << ": \"" << text << '"';
      EXPECT_EQ((*tokenizer)->Decode(ids), text);
    }
  }
}

class SmallSentencePiece : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallSentencePiece, SameIdsAndTexts) {
  const std::string name = GetParam();
  const auto tokenizer = LoadSentencePiece(Slurp(GoldenFile(name + ".model")));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const JsonDocument golden = ReadGolden("sentencepiece.json");
  const JsonValue expected = golden.root()["tokenizers"][name];
  const JsonValue texts = golden.root()["texts"];
  for (size_t i = 0; i < texts.get_array().size(); ++i) {
    const std::string text(std::string_view(texts.at(i)));
    const auto ids = Ids(expected["plain"].at(i));
    EXPECT_THAT((*tokenizer)->Encode(text), ElementsAreArray(ids)) << "text " << i << ": \"" << text << '"';
    const bool unknown =
        std::any_of(ids.begin(), ids.end(), [&](TokenId id) { return (*tokenizer)->Kind(id) == TokenKind::kUnknown; });
    // SentencePiece shows unknown tokens as " \u2047 ", which skip_special leaves out here; it also drops further
    // U+2581 that the text itself began with.
    if (!unknown && !text.starts_with("\u2581")) {
      EXPECT_EQ((*tokenizer)->Decode(ids), std::string_view(expected["decoded"].at(i))) << "text " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SmallSentencePiece, ::testing::Values("spm_bpe", "spm_unigram"));

TEST(LoadSentencePiece, EveryTruncationIsAnErrorOrATokenizer) {
  const std::string model = Slurp(GoldenFile("spm_unigram.model"));
  ASSERT_GT(model.size(), 1000u);
  int refused = 0;
  for (size_t size = 0; size < model.size(); size += 7) {
    const auto tokenizer = LoadSentencePiece(std::string_view(model).substr(0, size));
    if (tokenizer.ok()) {
      EXPECT_FALSE((*tokenizer)->Encode("Aardvark").empty());
    } else {
      EXPECT_FALSE(tokenizer.status().message().empty());
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(LoadTokenizerFromFolder, SaysWhatItExpects) {
  const auto tokenizer = LoadTokenizerFromFolder(std::string(MILLRACE_SOURCE_DIR) + "/cmake");
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(tokenizer.status().message(), ::testing::HasSubstr("expected tokenizer.json"));
}

}  // namespace
}  // namespace millrace
