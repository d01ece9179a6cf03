#include "grammar/grammar_test_util.h"

namespace millrace::grammar {
namespace {

GrammarPtr Compile(const StructuralTags& tags) {
  auto grammar = CompileStructuralTags(tags, SmallVocabulary());
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

const StructuralTags& Functions() {
  static const StructuralTags tags{
      .tags = {{"<f=ab>", GrammarKind::kJsonSchema, R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false})", "</f>"},
               {"<f=name>", GrammarKind::kRegex, "[0-9]+", "</f>"}},
      .triggers = {"<f="}};
  return tags;
}

TEST(StructuralTagTest, FreeTextUntilATrigger) {
  const GrammarPtr grammar = Compile(Functions());
  for (const char* good : {"", "hello < f= \xFF\xC3", "x<f=ab>{\"a\":1}</f> and <f=name>12</f>", "<<f=name>1</f>"}) {
    EXPECT_TRUE(Matches(grammar, good)) << good;
  }
  for (const char* bad : {"<f=", "<f=other>", "<f=ab>{}</f>", "<f=name>12", "<f=name>x</f>"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
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

TEST(SqlGrammarTest, TakesStatementsAndNothingElse) {
  auto grammar = CompileSql(SmallVocabulary());
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  for (const char* good :
       {"SELECT * FROM t", "select a, t.b as c from s.t left join u on t.id = u.id where a >= 1.5 and not b is null order by c desc limit 5;",
        "SELECT count(*) FROM (SELECT DISTINCT x FROM y) AS z GROUP BY x HAVING count(*) > 3", "INSERT INTO t (a, b) VALUES (1, 'it''s'), (2, NULL)",
        "UPDATE t SET a = a + 1 WHERE b IN (1, 2)", "DELETE FROM t WHERE x LIKE '%y'",
        "WITH q AS (SELECT 1) SELECT CASE WHEN a = 1 THEN 'x' ELSE 'y' END FROM q UNION ALL SELECT 2"}) {
    EXPECT_TRUE(Matches(*grammar, good)) << good;
  }
  for (const char* bad : {"", "SELECT", "SELECT * FROM", "DROP TABLE t", "SELECT a FROM t; DROP TABLE t", "SELECTa FROM t", "SELECT (a FROM t"}) {
    EXPECT_FALSE(Matches(*grammar, bad)) << bad;
  }
  ExpectMaskIsExact(*grammar, "select name, 12 from ab where (na=1)");
}

}  // namespace
}  // namespace millrace::grammar
