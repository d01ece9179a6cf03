#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/json.h"
#include "tokenizer/load.h"
#include "tokenizer/test_golden.h"

namespace millrace {
namespace {

using ::testing::ElementsAreArray;
using testing::GoldenFile;
using ::testing::HasSubstr;
using testing::Ids;
using testing::ReadGolden;
using testing::Slurp;
using testing::TokenizerFile;

bool HasControl(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  return std::any_of(ids.begin(), ids.end(), [&](TokenId id) { return tokenizer.Kind(id) == TokenKind::kControl; });
}

// One tokenizer against the ids and texts that the tokenizers library gave for it.
void ExpectGolden(const Tokenizer& tokenizer, const std::string& golden_name, const std::string& name) {
  const JsonDocument golden = ReadGolden(golden_name);
  const JsonValue expected = golden.root()["tokenizers"][name];
  const JsonValue texts = golden.root()["texts"];
  ASSERT_GT(texts.get_array().size(), 80u);
  for (size_t i = 0; i < texts.get_array().size(); ++i) {
    const std::string text(std::string_view(texts.at(i)));
    SCOPED_TRACE(fmt::format("{} text {}: \"{}\"", name, i, text));
    const auto plain = tokenizer.Encode(text);
    if (HasControl(tokenizer, Ids(expected["plain"].at(i)))) {
      // The reference lets T5's text become "</s>"; here it must not.
      EXPECT_FALSE(HasControl(tokenizer, plain));
    } else {
      EXPECT_THAT(plain, ElementsAreArray(Ids(expected["plain"].at(i))));
    }
    const auto ids = Ids(expected["special"].at(i));
    const auto special = tokenizer.Encode(text, {true, true});
    if (name == "llama2" && text.find("</s>") != std::string::npos) {
      // The reference finds a normalized special token only behind a space; a chat template has it behind text too.
      EXPECT_THAT(special, ::testing::Contains(tokenizer.eos_id().value()));
    } else {
      EXPECT_THAT(special, ElementsAreArray(ids));
    }
    EXPECT_EQ(tokenizer.Decode(ids), std::string_view(expected["decoded"].at(i)));
    EXPECT_EQ(tokenizer.Decode(ids, false), std::string_view(expected["decoded_all"].at(i)));
  }
}

class PublishedFile : public ::testing::TestWithParam<const char*> {};

TEST_P(PublishedFile, SameIdsAndTexts) {
  const std::string name = GetParam();
  const std::string file = Slurp(TokenizerFile(name + "/tokenizer.json"));
  if (file.empty()) GTEST_SKIP() << "no " << TokenizerFile(name);
  const auto tokenizer = LoadTokenizerJson(file, Slurp(TokenizerFile(name + "/tokenizer_config.json")));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  ExpectGolden(**tokenizer, "hugging_face.json", name);
}

INSTANTIATE_TEST_SUITE_P(All, PublishedFile, ::testing::Values("gpt2", "llama2", "phi-3-mini", "smollm2", "t5-small"));

class SmallFile : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallFile, SameIdsAndTexts) {
  const std::string name = GetParam();
  const auto tokenizer = LoadTokenizerJson(Slurp(GoldenFile(name + ".tokenizer.json")));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  ExpectGolden(**tokenizer, "small.json", name);
}

INSTANTIATE_TEST_SUITE_P(All, SmallFile,
                         ::testing::Values("wordpiece", "roberta", "falcon", "gemma", "unigram", "words"));

struct Damage {
  const char* json;
  const char* message;
};

class DamagedJson : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedJson, IsOneSentence) {
  const auto tokenizer = LoadTokenizerJson(GetParam().json);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_THAT(tokenizer.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedJson,
    ::testing::Values(
        Damage{"", "is not JSON"}, Damage{"{", "is not JSON"}, Damage{"{}", "has no model"},
        Damage{R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})", "bad id"},
        Damage{R"({"model":{"type":"BPE","vocab":{"a":4000000},"merges":[]}})", "bad id"},
        Damage{R"({"model":{"type":"BPE","vocab":{},"merges":[]}})", "no tokens"},
        Damage{R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["ab"]}})", "no pair"},
        Damage{R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"added_tokens":[{"id":3000000,"content":"x"}]})",
               "has id"},
        Damage{R"({"model":{"type":"WordLevel","vocab":{"a":0}}})", "expected BPE"},
        Damage{R"({"model":{"type":"WordPiece","vocab":{"a":0}}})", "no unk_token"},
        Damage{R"({"model":{"type":"Unigram","vocab":[["a"]]}})", "no pair of text and score"},
        Damage{R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAAAAAA"},"model":{}})",
               "character map"},
        Damage{R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("}},"model":{}})", "does not compile"},
        Damage{R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}]},"model":{}})",
               "does not define"},
        Damage{R"({"decoder":{"type":"CTC"},"model":{}})", "decoder 'CTC'"}));

// Found by fuzzing: the unknown token was also EOS, so that a letter ended the generation.
TEST(LoadTokenizerJson, UnknownTextIsNeverAnEnd) {
  const auto tokenizer =
      LoadTokenizerJson(R"({"added_tokens":[{"id":0,"content":"</s>","special":true}],)"
                        R"("model":{"type":"BPE","unk_token":"</s>","vocab":{"</s>":0,"a":1},"merges":[]}})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_THAT((*tokenizer)->Encode("aba"), ::testing::ElementsAre(1, 1));
}

// Found by fuzzing: of two added tokens with one id only the second was special, and text matched the first.
TEST(LoadTokenizerJson, TextIsNeverAControlTokenOfAnotherName) {
  const auto tokenizer =
      LoadTokenizerJson(R"({"added_tokens":[{"id":1,"content":"<tool>"},{"id":1,"content":"<s>","special":true}],)"
                        R"("model":{"type":"BPE","vocab":{"<":0,"a":2},"merges":[]}})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_FALSE(HasControl(**tokenizer, (*tokenizer)->Encode("a<tool>a")));
}

// EOS is named by the configuration, while the vocabulary lists it as a piece that merges reach.
TEST(LoadTokenizerJson, TextIsNeverMergedIntoAnEnd) {
  const auto tokenizer =
      LoadTokenizerJson(R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"aba":3},"merges":["a b","ab a"]}})",
                        R"({"eos_token":"ab"})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->eos_id(), 2);
  EXPECT_THAT((*tokenizer)->Encode("aba"), ::testing::ElementsAre(0, 1, 0));
}

TEST(LoadTokenizerJson, BoundsDepth) {
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(LoadTokenizerJson(deep).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(LoadTokenizerJson("{}", "{\"a\":" + deep + "}").status().code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace millrace
