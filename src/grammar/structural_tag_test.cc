#include <algorithm>

#include "grammar/grammar_test_util.h"
#include "grammar/structure.h"

namespace millrace::grammar {
namespace {

GrammarPtr Compile(const StructuralTags& tags) {
  auto grammar = CompileStructuralTags(tags, SmallVocabulary());
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

const StructuralTags& Functions() {
  static const StructuralTags tags{
      .tags =
          {{"<f=ab>", GrammarKind::kJsonSchema,
            R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false})",
            "</f>"},
           {"<f=name>", GrammarKind::kRegex, "[0-9]+", "</f>"}},
      .triggers = {"<f="}};
  return tags;
}

TEST(StructuralTagTest, FreeTextUntilATrigger) {
  const GrammarPtr grammar = Compile(Functions());
  for (const char* good : {"", "hello < f= \xFF\xC3", "x<f=ab>{\"a\":1}</f> and <f=name>12</f>", "<<f=name>1</f>"}) {
    EXPECT_TRUE(Matches(grammar, good)) << good;
  }
  for (const char* bad : {"<f=", "<f=other>", "<f=ab>{}</f>", "<f=name>12", "<f=name>x</f>"})
    EXPECT_FALSE(Matches(grammar, bad)) << bad;
  ExpectMaskIsExact(grammar, "ab <f<f=ab>{\"a\": 12}</f> \"ab");
}

TEST(StructuralTagTest, OptionsSayWhenATagMustComeAndWhatMayFollow) {
  StructuralTags tags = Functions();
  tags.at_least_one = true;
  EXPECT_FALSE(Matches(Compile(tags), "text"));
  EXPECT_TRUE(Matches(Compile(tags), "text<f=name>1</f>text"));
  tags.stop_after_first = true;
  EXPECT_FALSE(Matches(Compile(tags), "text<f=name>1</f>text"));
  tags.free_text = false;
  EXPECT_FALSE(Matches(Compile(tags), "text<f=name>1</f>"));
  EXPECT_TRUE(Matches(Compile(tags), "<f=name>1</f>"));
  tags.triggers = {"[TOOL]"};
  tags.free_text = true;
  EXPECT_EQ(CompileStructuralTags(tags, SmallVocabulary()).status().code(), StatusCode::kInvalidArgument);
}

TEST(StructuralTagTest, ControlTokensOpenAndCloseTags) {
  const GrammarPtr grammar = Compile({.tags = {{"<|ctl|>", GrammarKind::kRegex, "[0-9]+", "<|ctl|>"}}});
  const TokenId control = SmallTokenizer().end_ids()[0] - 1;
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.AcceptBytes("text <|ctl|>"));  // spelled out, it is text
  ASSERT_TRUE(matcher.AcceptToken(control));
  EXPECT_FALSE(matcher.CanEnd());
  EXPECT_FALSE(matcher.AcceptBytes("x"));
  ASSERT_TRUE(matcher.AcceptBytes("12"));
  ASSERT_TRUE(matcher.AcceptToken(control));
  EXPECT_TRUE(matcher.CanEnd());
}

GrammarPtr Compile(const Structure& structure) {
  auto grammar = CompileStructure(structure, SmallVocabulary());
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

TEST(StructureTest, PartsFollowEachOther) {
  const GrammarPtr grammar =
      Compile(Sequence({Text("<"), Choice({Text("ab"), InGrammar(GrammarKind::kRegex, "[0-9]{2}")}), Many(Text(";")),
                        Optional(Text("!")), Free({"end"})}));
  for (const char* good : {"<ab", "<12;;!text", "<ab;en d", "<12!\xC3\xA9"})
    EXPECT_TRUE(Matches(grammar, good)) << good;
  for (const char* bad : {"ab", "<1", "<ab;the end", "<ab\xC3"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
  ExpectMaskIsExact(grammar, "<12;!ab\xC3\xA9");
}

TEST(StructureTest, UntilStopsAtTheFirstOfItsStops) {
  const GrammarPtr grammar = Compile(Until({"<a>", "<b>", "never"}, {Text("1"), Text("2")}));
  for (const char* good : {"<a>1", "x < <<b>2", "<a<a>1"}) EXPECT_TRUE(Matches(grammar, good)) << good;
  for (const char* bad : {"", "text", "<a>2", "<b>1", "never<a>1"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
  ExpectMaskIsExact(grammar, "a\"<<b>2");
}

TEST(StructureTest, ControlTokensInTextsAndStops) {
  const TokenId control = SmallTokenizer().end_ids()[0] - 1;
  GrammarMatcher matcher(Compile(Sequence({Until({"<|ctl|>ab"}, {Text("12<|ctl|>")}), Anything()})));
  EXPECT_EQ(matcher.ForcedControl(), -1);
  ASSERT_TRUE(matcher.AcceptBytes("text <|ctl|>"));  // spelled out, it is text
  ASSERT_TRUE(matcher.AcceptToken(control));
  EXPECT_EQ(matcher.ForcedBytes(), "ab12");
  EXPECT_EQ(matcher.ForcedTokens(64), (std::vector<TokenId>{'a', 'b', '1', '2', control}));
  EXPECT_EQ(matcher.ForcedTokens(3), (std::vector<TokenId>{'a', 'b', '1'}));
  ASSERT_TRUE(matcher.AcceptBytes("ab12"));
  EXPECT_EQ(matcher.ForcedControl(), control);
  ASSERT_TRUE(matcher.AcceptToken(control));
  EXPECT_TRUE(matcher.CanEnd());
  std::vector<uint32_t> mask(SmallVocabulary()->mask_words());
  matcher.FillBitmask(mask);
  EXPECT_EQ(mask[0], ~0u);
  ASSERT_TRUE(matcher.AcceptToken(control));
  ASSERT_TRUE(matcher.AcceptBytes("\xFF and more"));
  EXPECT_TRUE(matcher.CanEnd());
}

TEST(StructureTest, ABudgetForcesTheStop) {
  Structure part = Until({"</t>"}, {Text("!")});
  part.budget_tokens = 3;
  const GrammarPtr grammar = Compile(Sequence({Text("<t>"), std::move(part)}));
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.AcceptBytes("<t>"));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(matcher.AcceptBytes("abcd"));
  EXPECT_EQ(matcher.ForcedBytes(), "");
  ASSERT_TRUE(matcher.AcceptBytes("ab<"));
  EXPECT_EQ(matcher.ForcedBytes(), "</t>!");
  matcher.Rollback(1);
  ASSERT_TRUE(matcher.AcceptBytes("\xC3"));  // a character is not cut
  ASSERT_TRUE(matcher.AcceptBytes("\xA9"));
  EXPECT_EQ(matcher.ForcedBytes(), "</t>!");
  EXPECT_FALSE(matcher.AcceptBytes("a"));
  EXPECT_TRUE(matcher.AcceptBytes("</t>!"));
  EXPECT_TRUE(matcher.CanEnd());
}

TEST(StructureTest, RawStringsAreThoseOfTheSchema) {
  const GrammarPtr grammar =
      Compile(RawString(R"({"type":"string","minLength":2,"pattern":"^[^1]*$"})", {"</x>"}, "^#"));
  for (const char* good : {"ab", "\"a\\", "a#</x"}) EXPECT_TRUE(Matches(grammar, good)) << good;
  for (const char* bad : {"", "a", "a1", "#ab", "ab</x>"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
  EXPECT_FALSE(CompileStructure(RawString(R"({"type":"integer"})", {}), SmallVocabulary()).ok());
}

TEST(MatcherTest, LikelyTokensPassOverEscapesAndMissingSpaces) {
  const auto grammar =
      CompileJsonSchema(R"({"type":"object","properties":{"name":{"enum":["abcd","12"]},"x":{"type":"boolean"}},
      "required":["name","x"],"additionalProperties":false})",
                        SmallVocabulary());
  ASSERT_TRUE(grammar.ok());
  const auto likely = [&](const char* text) {
    GrammarMatcher matcher(*grammar);
    EXPECT_TRUE(matcher.AcceptBytes(text));
    return SmallTokenizer().Decode(matcher.ForcedTokens(64), false);
  };
  EXPECT_EQ(likely(""), "{\"");
  EXPECT_EQ(likely("{\"n"), "ame\": \"");
  EXPECT_EQ(likely("{\"name\":\"a"), "bcd\", \"x\": ");
  EXPECT_EQ(likely("{\"x\":t"), "rue, \"name\": \"");
  EXPECT_EQ(likely("{\"x\":true,\"name\":\"12"), "\"}");
  EXPECT_EQ(likely("{\"x\":"), " ");
  EXPECT_EQ(likely("{\"x\": "), "");
}

TEST(MatcherTest, MoreReadingsThanTheBoundAreTold) {
  std::vector<Structure> ways;
  for (int i = 0; i < 3000; ++i) ways.push_back(Sequence({Text("a"), Text("b" + std::to_string(i))}));
  GrammarMatcher matcher(Compile(Choice(std::move(ways))));
  EXPECT_TRUE(matcher.overflowed());
  std::vector<uint32_t> mask(SmallVocabulary()->mask_words());
  matcher.FillBitmask(mask);
  EXPECT_TRUE(std::all_of(mask.begin(), mask.end(), [](uint32_t word) { return word == 0; }));
  EXPECT_FALSE(GrammarMatcher(Compile(Text("ab"))).overflowed());
}

TEST(SqlGrammarTest, TakesStatementsAndNothingElse) {
  auto grammar = CompileSql(SmallVocabulary());
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  for (const char* good :
       {"SELECT * FROM t",
        "select a, t.b as c from s.t left join u on t.id = u.id where a >= 1.5 and not b is null order by c desc limit "
        "5;",
        "SELECT count(*) FROM (SELECT DISTINCT x FROM y) AS z GROUP BY x HAVING count(*) > 3",
        "INSERT INTO t (a, b) VALUES (1, 'it''s'), (2, NULL)", "UPDATE t SET a = a + 1 WHERE b IN (1, 2)",
        "DELETE FROM t WHERE x LIKE '%y'",
        "WITH q AS (SELECT 1) SELECT CASE WHEN a = 1 THEN 'x' ELSE 'y' END FROM q UNION ALL SELECT 2"}) {
    EXPECT_TRUE(Matches(*grammar, good)) << good;
  }
  for (const char* bad : {"", "SELECT", "SELECT * FROM", "DROP TABLE t", "SELECT a FROM t; DROP TABLE t",
                          "SELECTa FROM t", "SELECT (a FROM t"}) {
    EXPECT_FALSE(Matches(*grammar, bad)) << bad;
  }
  ExpectMaskIsExact(*grammar, "select name, 12 from ab where (na=1)");
}

}  // namespace
}  // namespace millrace::grammar
