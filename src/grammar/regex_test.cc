#include "grammar/regex.h"

#include "grammar/grammar_test_util.h"
#include "grammar/grammar_tool.h"

namespace millrace::grammar {
namespace {

bool Search(std::string_view pattern, std::string_view text) {
  Budget budget({});
  auto dfa = CompileRegex(pattern, RegexMode::kSearch, budget);
  EXPECT_TRUE(dfa.ok()) << pattern << ": " << dfa.status().message();
  return dfa.ok() && (*dfa)->Accepts(*DecodeUtf8(text));
}

TEST(RegexTest, SearchMatchesWhereEcmaScriptDoes) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  const Case cases[] = {{"", "anything", true},
                        {"a", "xay", true},
                        {"^a", "ba", false},
                        {"a$", "ba", true},
                        {"a$", "ab", false},
                        {"^a|b$", "ax", true},
                        {"^a|b$", "xb", true},
                        {"^a|b$", "xax", false},
                        {"^(a|b)*$", "abba", true},
                        {"^(a|b)*$", "abc", false},
                        {"^a{2,3}$", "a", false},
                        {"^a{2,3}$", "aaa", true},
                        {"^a{2,3}$", "aaaa", false},
                        {"^a{2}$", "aa", true},
                        {"^a{2,}$", "aaaaa", true},
                        {"^\\d+$", "123", true},
                        {"^\\d+$", "\xD9\xA3", false},
                        {"^\\w$", "\xC3\xA9", false},
                        {"^.$", "\xF0\x9F\x98\x80", true},
                        {"^.$", "\n", false},
                        {"^[^a]$", "\n", true},
                        {"^[\\s\\S]$", "\n", true},
                        {"^\\p{Lu}$", "\xC3\x89", true},
                        {"^\\p{Lu}$", "e", false},
                        {"^\\u0061$", "a", true},
                        {"^\\x41$", "A", true},
                        {"^\\cA$", "\x01", true},
                        {"^[a-c\\-x]+$", "a-x", true},
                        {"^a{x}$", "a{x}", true},
                        {"^(?:ab)+?$", "abab", true},
                        {"^(?!foo).*$", "foobar", false},
                        {"^(?!foo).*$", "barfoo", true},
                        {"^(?=.*\\d)[a-z\\d]+$", "abc1", true},
                        {"^(?=.*\\d)[a-z\\d]+$", "abc", false},
                        {"^$", "", true},
                        {"^$", "x", false},
                        {"(^a)(b$)", "ab", true},
                        {"$^", "", true},
                        {"a^", "a", false},
                        {"^\\S(|(.|\\n)*\\S)\\Z", "x y", true},
                        {"^\\S(|(.|\\n)*\\S)\\Z", "x ", false}};
  for (const Case& c : cases) EXPECT_EQ(Search(c.pattern, c.text), c.matches) << c.pattern << " on " << c.text;
}

TEST(RegexTest, RefusesWhatItDoesNotEnforce) {
  for (const char* pattern :
       {"(a)\\1", "(?<=a)b", "a(?=b)", "\\bword", "(?i)a", "a{100001}", "[[:alpha:]]", "(?<!a)b"}) {
    Budget budget({});
    EXPECT_EQ(CompileRegex(pattern, RegexMode::kSearch, budget).status().code(), StatusCode::kUnsupported) << pattern;
  }
  for (const char* pattern : {"(", "a)", "[a", "*a", "a**", "a{3,2}", "\\", "\\u12", "[b-a]"}) {
    Budget budget({});
    EXPECT_EQ(CompileRegex(pattern, RegexMode::kSearch, budget).status().code(), StatusCode::kInvalidArgument)
        << pattern;
  }
}

TEST(RegexTest, BoundsHoldOnHostilePatterns) {
  for (const std::string& pattern : {std::string("(a|b)*a(a|b){24}"), std::string("((((a{1000}){1000}){1000}))"),
                                     std::string(5000, '('), std::string("(x+x+)+y")}) {
    Budget budget({});
    auto result =
        CompileRegex(pattern, RegexMode::kFullMatch, budget);  // must come back soon, with or without an answer
    if (!result.ok()) {
      EXPECT_EQ(result.status().code(), StatusCode::kUnsupported) << pattern;
    }
  }
}

TEST(RegexTest, PropertiesAndManyCharactersStayWithinTheBounds) {
  std::string properties, characters;
  for (uint32_t i = 0; i < 3000; ++i) properties += "\\p{L}\\P{Lu}";
  for (uint32_t i = 0; i < 70'000; ++i) {
    AppendUtf8(0x10000 + i, characters);
    characters += '|';
  }
  for (const std::string& pattern : {properties, characters + "a"}) {
    const double start = ThreadMicros();
    Budget budget({});
    auto result = CompileRegex(pattern, RegexMode::kFullMatch, budget);
    EXPECT_EQ(result.ok(), pattern == properties) << result.status().message();
    EXPECT_LT(ThreadMicros() - start, 20e6);
  }
}

TEST(RegexTest, BooleanOperationsAgreeWithMembership) {
  Budget budget({});
  const DfaPtr a = *CompileRegex("^[ab]*aa[ab]*$", RegexMode::kSearch, budget);
  const DfaPtr b = *CompileRegex("^[ab]{0,4}$", RegexMode::kSearch, budget);
  const DfaPtr both = *IntersectDfa(*a, *b, budget), either = *UnionDfa(*a, *b, budget),
               minus = *SubtractDfa(*a, *b, budget);
  for (int length = 0; length <= 6; ++length) {
    for (int bits = 0; bits < (1 << length); ++bits) {
      std::u32string text;
      for (int i = 0; i < length; ++i) text += (bits >> i) & 1 ? U'b' : U'a';
      const bool in_a = a->Accepts(text), in_b = b->Accepts(text);
      EXPECT_EQ(both->Accepts(text), in_a && in_b);
      EXPECT_EQ(either->Accepts(text), in_a || in_b);
      EXPECT_EQ(minus->Accepts(text), in_a && !in_b);
    }
  }
  const auto words = EnumerateWords(*both, 100, budget);
  ASSERT_TRUE(words.has_value());
  EXPECT_EQ(words->size(), 12u);  // of length 2, 3 and 4: 1 + 3 + 8
  EXPECT_FALSE(EnumerateWords(*a, 100, budget).has_value());
}

TEST(RegexTest, GuidedRegexMasksAreExact) {
  auto grammar = CompileRegexGrammar("(\\d{1,3}\\.){3}\\d{1,3}|name: \\w+ \xE2\x82\xAC?", SmallVocabulary());
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  ExpectMaskIsExact(*grammar, "192.168.0.1");
  ExpectMaskIsExact(*grammar, "name: abc \xE2\x82\xAC");
  EXPECT_FALSE(Matches(*grammar, "x192.168.0.1"));
}

TEST(RegexTest, ForcedBytesStopAtTheFirstChoice) {
  auto grammar = CompileRegexGrammar("prefix-(abc|abd)!", SmallVocabulary());
  ASSERT_TRUE(grammar.ok());
  GrammarMatcher matcher(*grammar);
  EXPECT_EQ(matcher.ForcedBytes(), "prefix-ab");
  ASSERT_TRUE(matcher.AcceptBytes("prefix-abd"));
  EXPECT_EQ(matcher.ForcedBytes(), "!");
  ASSERT_TRUE(matcher.AcceptBytes("!"));
  EXPECT_EQ(matcher.ForcedBytes(), "");
}

TEST(RegexTest, ChoiceTakesExactlyTheListedTexts) {
  const std::vector<std::string> choices = {"yes", "no", "\xE2\x82\xAC", "yesterday"};
  auto grammar = CompileChoice(choices, SmallVocabulary());
  ASSERT_TRUE(grammar.ok());
  for (const std::string& choice : choices) EXPECT_TRUE(Matches(*grammar, choice));
  for (const char* other : {"", "ye", "yesno", "nope"}) EXPECT_FALSE(Matches(*grammar, other));
  EXPECT_FALSE(CompileChoice({}, SmallVocabulary()).ok());
}

}  // namespace
}  // namespace millrace::grammar
