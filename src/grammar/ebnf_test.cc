#include "grammar/ebnf.h"

#include "grammar/grammar_test_util.h"

namespace millrace::grammar {
namespace {

GrammarPtr Compile(std::string_view text) {
  auto grammar = CompileEbnf(text, SmallVocabulary());
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

constexpr char kArithmetic[] = R"g(
# left recursive on purpose
root ::= sum
sum  ::= sum [+-] product |
         product
product ::= product "*" atom | atom
atom ::= [0-9]+ | "(" sum ")"
)g";

TEST(EbnfTest, GbnfLeftRecursion) {
  const GrammarPtr grammar = Compile(kArithmetic);
  ASSERT_NE(grammar, nullptr);
  for (const char* good : {"1", "1+2*3", "(1+2)*3-4", "((((1))))", "123*456+789"})
    EXPECT_TRUE(Matches(grammar, good)) << good;
  for (const char* bad : {"", "+", "1+", "(1", "1)", "()", "1 + 2"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
  ExpectMaskIsExact(grammar, "((1+2)*12)-123");
}

TEST(EbnfTest, GbnfNotation) {
  const GrammarPtr grammar = Compile(
      "root ::= \"a\\n\\x41\\u00e9\" [^a-z] (\"x\" | \"y\"){2,3} word? . # tail\nword ::= \"w\" # c\n  | \"v\"+\n");
  ASSERT_NE(grammar, nullptr);
  EXPECT_TRUE(Matches(grammar,
                      "a\nA\xC3\xA9"
                      "Zxyvvv\xF0\x9F\x98\x80"));
  EXPECT_TRUE(Matches(grammar,
                      "a\nA\xC3\xA9"
                      "Zxyx!"));
  EXPECT_FALSE(Matches(grammar, "a\nA\xC3\xA9zxyx!"));
  EXPECT_FALSE(Matches(grammar, "a\nA\xC3\xA9Zx!"));
  // Found by llama.cpp's users: nested empty repetitions must end.
  EXPECT_TRUE(Matches(Compile("root ::= ( [x]* )*"), "xxx"));
  EXPECT_TRUE(Matches(Compile("root ::= a b\na ::= a | \"\"\nb ::= a b | \"y\""), "y"));
}

TEST(EbnfTest, NullableLeftRecursionIsComplete) {
  // S -> A S "b" | "x", A -> empty | "a": hidden left recursion. The language is x b* with one a before any of the b's
  // calls.
  const GrammarPtr grammar = Compile("root ::= a root \"b\" | \"x\"\na ::= \"\" | \"a\"");
  for (const char* good : {"x", "xb", "axb", "xbb", "axbb", "aaxbb"}) EXPECT_TRUE(Matches(grammar, good)) << good;
  for (const char* bad : {"ax", "aaxb", "b", "xa"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
}

TEST(EbnfTest, AmbiguityAndPalindromes) {
  const GrammarPtr grammar = Compile("root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"\"");
  EXPECT_TRUE(Matches(grammar, "abba"));
  EXPECT_TRUE(Matches(grammar, "abaaaaba"));
  EXPECT_FALSE(Matches(grammar, "abab"));
  ExpectMaskIsExact(grammar, "abbabbabba");
  EXPECT_TRUE(Matches(Compile("root ::= root root | \"a\""), std::string(200, 'a')));
}

TEST(EbnfTest, CountedRepetitionOfRecursiveRules) {
  const GrammarPtr grammar = Compile("root ::= item{10,12} \"!\"\nitem ::= \"(\" item? \")\"");
  auto items = [](int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += "(())";
    return text + "!";
  };
  for (int n = 8; n <= 14; ++n) EXPECT_EQ(Matches(grammar, items(n)), n >= 10 && n <= 12) << n;
  EXPECT_TRUE(Matches(Compile("root ::= (a?){20} \"!\"\na ::= \"(\" a? \")\""), "()!"));
}

TEST(EbnfTest, LongRightRecursionStaysFlat) {
  const GrammarPtr grammar = Compile("root ::= item | item \",\" root\nitem ::= \"x\" | \"(\" root \")\"");
  GrammarMatcher matcher(grammar);
  std::string text = "x";
  for (int i = 0; i < 20000; ++i) text += ",x";
  EXPECT_TRUE(matcher.AcceptBytes(text));
  EXPECT_TRUE(matcher.CanEnd());
}

TEST(EbnfTest, RollbackRestoresEveryState) {
  const GrammarPtr grammar = Compile(kArithmetic);
  GrammarMatcher matcher(grammar);
  std::vector<std::vector<uint32_t>> masks;
  const std::string text = "(1+2)*3";
  std::vector<uint32_t> mask(grammar->vocabulary().mask_words());
  for (char c : text) {
    matcher.FillBitmask(mask);
    masks.push_back(mask);
    ASSERT_TRUE(matcher.AcceptToken(static_cast<uint8_t>(c)));
  }
  while (!masks.empty()) {
    matcher.Rollback(1);
    matcher.FillBitmask(mask);
    EXPECT_EQ(mask, masks.back());
    masks.pop_back();
  }
  EXPECT_EQ(matcher.rollback_available(), 0);
}

TEST(EbnfTest, EndTokensOnlyWhereTheGrammarMayEnd) {
  const GrammarPtr grammar = Compile(kArithmetic);
  GrammarMatcher matcher(grammar);
  const TokenId end = SmallTokenizer().end_ids()[0], control = end - 1;
  EXPECT_FALSE(matcher.AcceptToken(end));
  ASSERT_TRUE(matcher.AcceptBytes("1"));
  EXPECT_FALSE(matcher.AcceptToken(control));
  EXPECT_TRUE(matcher.AcceptToken(end));
  EXPECT_TRUE(matcher.IsTerminated());
  EXPECT_FALSE(matcher.AcceptBytes("1"));
  matcher.Rollback(1);
  EXPECT_TRUE(matcher.AcceptBytes("1"));
}

TEST(EbnfTest, Lark) {
  const GrammarPtr grammar = Compile(R"g(
// a Lark grammar
%import common.SIGNED_NUMBER -> NUMBER
%import common.WS
%ignore WS
?start: sum
?sum: product
    | sum "+" product   -> add
    | sum "-" product   -> sub
?product: atom ("*" atom)*
?atom.2: NUMBER | "-" atom | NAME | "(" sum ")" | CALL
NAME: ("a".."z") /[a-z0-9_]/i*
CALL: "min"i "(" /\d+/ ("," /\d+/)~1..2 ")"
)g");
  ASSERT_NE(grammar, nullptr);
  for (const char* good : {"1 + 2", "(x*-3.5e2)-y_1 ", "MIN(1,2,3)", " 1\n"})
    EXPECT_TRUE(Matches(grammar, good)) << good;
  for (const char* bad : {"1 +", "min(1)", "min(1,2,3,4)", "2x", "(1"}) EXPECT_FALSE(Matches(grammar, bad)) << bad;
  ExpectMaskIsExact(grammar, "(ab + 12) * -x");
}

TEST(EbnfTest, AnchorsMeanTheEndsOfTheirTerminal) {
  const GrammarPtr grammar = Compile("start: A \",\" A\nA: /^[0-9]+$|x$y/\n");
  ASSERT_NE(grammar, nullptr);
  EXPECT_TRUE(Matches(grammar, "12,3"));
  EXPECT_FALSE(Matches(grammar, "xy,3"));
  ExpectMaskIsExact(grammar, "12,3");
}

TEST(EbnfTest, ErrorsNameTheLine) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c :
       {Case{"root ::= a", "\"a\" is used but not defined"}, Case{"x ::= \"a\"", "called \"root\""},
        Case{"root ::= \"a\nb", "line 2"}, Case{"root ::= (\"a\"", "expected )"}, Case{"root ::= [a", "without its ]"},
        Case{"root ::= \"a\"{3,1}", "bounds"}, Case{"root ::= root \"a\"", "matches nothing"},
        Case{"start: %", "not supported"}, Case{"start: A\nA: /7$7/", "matches nothing"},
        Case{"start: A (\",\" A)*\nA: /7%$7/", "matches nothing"}, Case{"start: a\n%declare X", "%declare"},
        Case{"", "start"}}) {
    auto result = CompileEbnf(c.text, SmallVocabulary());
    ASSERT_FALSE(result.ok()) << c.text;
    EXPECT_NE(result.status().message().find(c.message), std::string::npos) << result.status().message();
  }
}

}  // namespace
}  // namespace millrace::grammar
