#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tokenizer/load.h"
#include "tokenizer/test_data.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

using testing::GgufMetadata;
using testing::TokenizerFile;

// Random code points of all planes (no surrogates), or random bytes.
std::string RandomText(std::mt19937& rng, bool bytes) {
  std::string text;
  const int count = static_cast<int>(rng() % 40);
  for (int i = 0; i < count; ++i) {
    if (bytes) {
      text.push_back(static_cast<char>(rng() % 256));
      continue;
    }
    static constexpr uint32_t kLimits[] = {0x80, 0x100, 0x800, 0x3100, 0xD800, 0x110000};
    const uint32_t code = static_cast<uint32_t>(rng()) % kLimits[rng() % 6];
    AppendUtf8(code >= 0xD800 && code < 0xE000 ? ' ' : code, &text);
  }
  return text;
}

std::string Raw(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string bytes;
  for (size_t i = 0; i < ids.size(); ++i) bytes += tokenizer.DecodedBytes(ids[i], i == 0, true);
  return bytes;
}

class RoundTrip : public ::testing::TestWithParam<const char*> {};

// Vocabularies with every byte lose nothing: any text and any bytes come back; streaming gives what Decode gives and
// never a part of a character.
TEST_P(RoundTrip, RandomUnicodeAndBytes) {
  const std::string path = TokenizerFile(std::string("ggml-vocab/ggml-vocab-") + GetParam() + ".gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto tokenizer = MakeTokenizer(GgufMetadata::ReadVocab(path));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  std::mt19937 rng(7);
  for (int round = 0; round < 2000; ++round) {
    // DeepSeek LLM has no tokens for 0xC0, 0xF5 and other bytes that no UTF-8 has.
    const bool bytes = round % 2 == 1 && std::string_view(GetParam()) != "deepseek-llm";
    const std::string text = RandomText(rng, bytes);
    const auto ids = (*tokenizer)->Encode(text);
    ASSERT_EQ(Raw(**tokenizer, ids), text) << "round " << round;
    const std::string decoded = (*tokenizer)->Decode(ids);
    ASSERT_TRUE(bytes || decoded == text) << "round " << round << " \"" << text << "\" became \"" << decoded << "\"";
    StreamingDetokenizer stream(**tokenizer);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string part = stream.Push(id);
      ASSERT_EQ(IncompleteUtf8Tail(part), 0u) << "round " << round;
      streamed += part;
    }
    streamed += stream.Finish();
    ASSERT_EQ(streamed, decoded) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(All, RoundTrip, ::testing::Values("gpt-2", "deepseek-llm", "llama-spm", "phi-3"));

TEST(Normalize, NfcShortcutsChangeNothing) {
  std::mt19937 rng(3);
  for (int round = 0; round < 4000; ++round) {
    std::string text = RandomText(rng, round % 4 == 3);
    for (int i = 0; i < 3; ++i) AppendUtf8(0x300 + static_cast<uint32_t>(rng() % 0x70), &text);
    // NFC of NFD is NFC; NFD takes no shortcut, and runs of it that begin with a mark exercise the character before.
    std::string composed_after;
    for (const NormalForm form : {NormalForm::kNfd, NormalForm::kNfkd}) {
      const std::string decomposed = Normalize(text, form);
      composed_after = Normalize(decomposed, NormalForm::kNfc);
      ASSERT_EQ(composed_after, Normalize(text, form == NormalForm::kNfd ? NormalForm::kNfc : NormalForm::kNfkc))
          << round;
    }
  }
}

TEST(AppendReplacingInvalid, MaximalSubpartsAndSingleBytes) {
  // Table 3-8 and 3-9 of the Unicode Standard.
  const std::string bytes = "\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\xED\xA0\x80\x64";
  std::string parts, each;
  AppendReplacingInvalid(bytes, false, &parts);
  AppendReplacingInvalid(bytes, true, &each);
  const std::string r(kReplacementChar);
  EXPECT_EQ(parts, r + r + r + "b" + r + "c" + r + r + r + "d");
  EXPECT_EQ(each, r + r + r + r + r + r + "b" + r + "c" + r + r + r + "d");
}

}  // namespace
}  // namespace millrace
