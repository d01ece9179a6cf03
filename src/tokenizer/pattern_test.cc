#include "tokenizer/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tokenizer/pre_names.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

std::vector<std::string> Pieces(const Pattern& pattern, std::string_view text) {
  std::vector<Span> matches;
  pattern.FindMatches(text, &matches);
  std::vector<std::string> pieces;
  for (const Span& match : matches) pieces.emplace_back(text.substr(match.begin, match.end - match.begin));
  return pieces;
}

// Characters at which the published expressions decide: every class, case folds, contractions, marks, newlines, odd
// spaces.
std::string RandomText(std::mt19937& rng) {
  static constexpr std::string_view kPool[] = {
      "a",          "B",      "s",      "S",      "'",      "'s",         "'LL",    "'re",    "'\u017F", "\u2019",
      " ",          "  ",     "\n",     "\r\n",   "\t",     "\u00A0",     "\u3000", "\u2028", "\u0085",  "1",
      "23",         "4567",   "\u0663", "\u2167", "\u00BD", ".",          "!?",     "/",      "_",       "$",
      "+",          "\u3002", "\uFF01", "\u00E9", "\u0416", "\u0436",     "\u01C5", "\u02B0", "\u05D0",  "\u4E2D",
      "\u3042",     "\uAC00", "\u0301", "\u0903", "\u20DD", "\U0001F600", "\u200D", "\u00AD", "\u0001",  "\uFFFD",
      "\U00010400", "\u00AA", "<",      "~",      "Z",      "z",          "\u2581", "\u20AC"};
  std::string text;
  const int count = static_cast<int>(rng() % 12);
  for (int i = 0; i < count; ++i) text += kPool[rng() % std::size(kPool)];
  return text;
}

// The hand-written scanners and class runs find what PCRE2 finds with the same expression.
TEST(FindScanner, AgreesWithPcre2) {
  int checked = 0;
  for (const char* name :
       {"gpt-2", "llama-bpe", "qwen2", "qwen35", "ufakzeka", "minicpm5", "gpt-4o", "tekken", "deepseek-llm",
        "deepseek-coder", "deepseek-v3", "starcoder", "falcon", "default", "gemma4"}) {
    const PreTokenizerInfo* info = FindPreTokenizer(name);
    ASSERT_NE(info, nullptr) << name;
    for (const std::string_view regex : info->patterns) {
      std::unique_ptr<Pattern> own = FindScanner(regex);
      if (own == nullptr) own = ParseClassPattern(regex);
      ASSERT_NE(own, nullptr) << name << " " << regex;
      const auto reference = CompilePcre2(regex);
      ASSERT_TRUE(reference.ok()) << reference.status().message();
      std::mt19937 rng(11);
      for (int round = 0; round < 4000; ++round) {
        const std::string text = RandomText(rng);
        ASSERT_EQ(Pieces(*own, text), Pieces(**reference, text)) << regex << " on \"" << text << '"';
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 25);
}

TEST(CompilePattern, EveryNamedPatternCompiles) {
  for (const char* name :
       {"tiny_aya", "bloom", "viking", "bailingmoe", "seed-coder", "exaone-moe", "superbpe", "chameleon"}) {
    const PreTokenizerInfo* info = FindPreTokenizer(name);
    ASSERT_NE(info, nullptr) << name;
    for (const std::string_view regex : info->patterns) EXPECT_TRUE(CompilePattern(regex).ok()) << regex;
  }
  EXPECT_EQ(FindPreTokenizer("no such name"), nullptr);
}

TEST(CompilePcre2, LinearOnTextsThatMakeItBacktrack) {
  const auto pattern = CompilePcre2("(a+)+b|\\s+$|\\s+x");
  ASSERT_TRUE(pattern.ok());
  // Without limits the first alternative alone needs 2^20000 steps.
  EXPECT_THAT(Pieces(**pattern, std::string(20'000, 'a')), ::testing::IsEmpty());
  EXPECT_THAT(Pieces(**pattern, std::string(20'000, ' ') + "y"), ::testing::IsEmpty());
  // A match longer than the window is found whole.
  const auto letters = CompilePcre2("[ab]+c?");
  ASSERT_TRUE(letters.ok());
  EXPECT_THAT(Pieces(**letters, std::string(100'000, 'a') + "c"), ::testing::SizeIs(1));
}

TEST(CompilePattern, RefusesWhatIsNoExpression) {
  EXPECT_EQ(CompilePattern("(unclosed").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CompilePattern(std::string(100'000, 'a')).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace
