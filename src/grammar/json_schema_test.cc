#include <gmock/gmock.h>

#include "grammar/grammar_test_util.h"
#include "grammar/grammar_tool.h"

namespace millrace::grammar {
namespace {

using ::testing::HasSubstr;

GrammarPtr Compile(std::string_view schema, JsonWhitespace whitespace = JsonWhitespace::kCompact) {
  CompileOptions options;
  options.json.whitespace = whitespace;
  auto grammar = CompileJsonSchema(schema, SmallVocabulary(), options);
  EXPECT_TRUE(grammar.ok()) << schema << ": " << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

struct Case {
  const char* schema;
  std::vector<const char*> valid;
  std::vector<const char*> invalid;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const GrammarPtr grammar = Compile(c.schema);
    if (grammar == nullptr) continue;
    for (const char* text : c.valid) EXPECT_TRUE(Matches(grammar, text)) << c.schema << " should accept " << text;
    for (const char* text : c.invalid) EXPECT_FALSE(Matches(grammar, text)) << c.schema << " should reject " << text;
  }
}

TEST(JsonSchemaTest, Numbers) {
  Check({
      {R"({"type":"integer"})", {"0", "-12", "1.0", "12345678901234567890"}, {"1.5", "01", "1.", "\"1\""}},
      {R"({"type":"number"})", {"1e5", "-0.5E-3", "0"}, {"+1", ".5", "NaN"}},
      {R"({"minimum":-1.5,"maximum":20})",
       {"-1.5", "-1.50", "0", "-0", "20.0", "19.999", "true"},
       {"-1.51", "20.01", "100", "-2"}},
      {R"({"exclusiveMinimum":99,"type":"integer"})", {"100", "1000"}, {"99", "99.0", "9"}},
      {R"({"type":"number","exclusiveMaximum":-0.05})", {"-0.051", "-1"}, {"-0.05", "0", "-0.0"}},
      {R"({"minimum":5,"exclusiveMinimum":true,"$schema":"http://json-schema.org/draft-04/schema#"})", {"6"}, {"5"}},
      {R"({"multipleOf":0.01})", {"4.02", "0", "1.0200"}, {"4.021", "0.001"}},
      {R"({"multipleOf":15,"minimum":1})", {"15", "30", "150.0"}, {"0", "16", "7.5"}},
      {R"({"not":{"minimum":3}})", {"2", "2.99"}, {"3", "3.0", "4", "\"x\""}},
      {R"({"enum":[1,2.50,"a",null,[1],{"b":1}]})",
       {"1", "1.0", "2.5", "\"a\"", "null", "[1]", "{\"b\":1.0}"},
       {"2", "[]", "{}", "{\"b\":2}"}},
  });
}

TEST(JsonSchemaTest, Strings) {
  Check({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"\xC3\xA9\xC3\xA9\\n\"", "\"\\ud83d\\ude00x\""},
       {"\"a\"", "\"abcd\"", "1"}},
      {R"({"pattern":"^a+$"})", {"\"aa\"", "\"\\u0061\"", "3"}, {"\"\"", "\"ab\""}},
      {R"({"type":"string","pattern":"b","maxLength":2})", {"\"ab\"", "\"b\""}, {"\"aab\"", "\"a\""}},
      {R"({"const":"\"\\\u00e9\n"})",
       {"\"\\\"\\\\\xC3\xA9\\n\"", "\"\\u0022\\u005C\\u00e9\\u000a\""},
       {"\"\\\"\\\\e\\n\""}},
      {R"({"format":"date"})",
       {"\"2024-02-29\"", "\"2023-12-31\""},
       {"\"2023-02-29\"", "\"2023-13-01\"", "\"2023-1-01\""}},
      {R"({"format":"uuid"})", {"\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\""}, {"\"2eb8aa08aa9811eab4aa73b441d16380\""}},
      {R"({"format":"ipv6"})", {"\"::1\"", "\"1::d6:192.168.0.1\""}, {"\"1::2::3\"", "\"12345::\""}},
      {R"({"type":"string","not":{"enum":["a","b"]}})", {"\"c\"", "\"ab\"", "\"\""}, {"\"a\"", "\"\\u0062\"", "1"}},
      {R"({"format":"int32"})", {"\"anything\"", "1"}, {}},
  });
}

TEST(JsonSchemaTest, Objects) {
  Check({
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{}},"required":["b"],"additionalProperties":false})",
       {R"({"b":1})", R"({"b":{},"a":2})", R"({"a":2,"b":"x"})", R"({"\u0062":1})"},
       {R"({})", R"({"a":1})", R"({"a":"x","b":1})", R"({"b":1,"b":2})", R"({"b":1,"\u0062":2})", R"({"b":1,"c":1})"}},
      {R"({"properties":{"a":{"type":"integer"}}})",
       {R"({"x":[],"a":1,"y":{"x":1}})", "[]"},
       {R"({"a":"1"})", R"({"x":1,"x":2})", R"({"x":1,"\u0078":2})"}},
      {R"({"patternProperties":{"^n":{"type":"integer"},"s$":{"type":"string"}},"additionalProperties":{"type":"null"}})",
       {R"({"n":1})", R"({"ss":"x","n2":3,"q":null})"},
       {R"({"n":"x"})", R"({"ns":1})", R"({"ns":"x"})", R"({"q":1})"}},
      {R"({"type":"object","minProperties":1,"maxProperties":2})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {"{}", R"({"a":1,"b":2,"c":3})"}},
      {R"({"type":"object","required":["a","b"],"maxProperties":2})", {R"({"b":1,"a":2})"}, {R"({"a":1,"c":2})"}},
      {R"({"propertyNames":{"maxLength":2}})", {R"({"ab":1})", "{}"}, {R"({"abc":1})"}},
      {R"({"type":"object","dependentRequired":{"a":["b"]}})",
       {"{}", R"({"b":1})", R"({"a":1,"b":2})"},
       {R"({"a":1})"}},
      {R"({"type":"object","dependencies":{"a":{"properties":{"b":{"type":"integer"}}}}})",
       {R"({"b":"x"})", R"({"a":1,"b":2})"},
       {R"({"a":1,"b":"x"})"}},
      {R"({"type":"object","not":{"required":["a"]}})", {"{}", R"({"b":1})"}, {R"({"a":1})"}},
      {R"({"type":"object","not":{"additionalProperties":{"type":"integer"}}})",
       {R"({"a":1,"b":"x"})"},
       {"{}", R"({"a":1})"}},
      {R"({"type":"object","not":{"properties":{"a":{},"b":{}},"additionalProperties":false}})",
       {R"({"c":1})", R"({"a":1,"c":1})"},
       {"{}", R"({"a":1})"}},
  });
}

TEST(JsonSchemaTest, Arrays) {
  Check({
      {R"({"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"string"},"maxItems":3})",
       {"[]", "[1]", "[1,\"a\",\"b\"]"},
       {"[\"a\"]", "[1,2]", "[1,\"a\",\"b\",\"c\"]"}},
      {R"({"type":"array","items":[{"type":"integer"},{"type":"null"}],"additionalItems":false,"minItems":2})",
       {"[1,null]"},
       {"[1]", "[1,null,2]"}},
      {R"({"type":"array","contains":{"const":5},"minContains":2,"maxContains":2})",
       {"[5,5]", "[1,5,2,5]"},
       {"[]", "[5]", "[5,5,5]"}},
      {R"({"type":"array","items":{"enum":["a","b",1]},"uniqueItems":true})",
       {"[]", "[\"a\",1,\"b\"]", "[1,\"a\"]"},
       {"[1,1]", "[\"a\",\"\\u0061\"]"}},
      {R"({"type":"array","items":{"type":"string"},"uniqueItems":true,"minItems":2})",
       {"[\"a\",\"b\",\"\"]"},
       {"[\"a\",\"a\"]", "[\"a\"]", "[\"a\",\"b\",\"\\u0061\"]"}},
      {R"({"type":"array","not":{"items":{"type":"integer"}}})", {"[\"a\"]", "[1,null]"}, {"[]", "[1,2]"}},
  });
}

TEST(JsonSchemaTest, Applicators) {
  Check({
      {R"({"oneOf":[{"type":"integer"},{"minimum":2}]})", {"1", "2.5"}, {"3", "1.5"}},
      {R"({"oneOf":[{"required":["a"]},{"required":["b"]}],"type":"object"})",
       {R"({"a":1})", R"({"b":1,"c":2})"},
       {"{}", R"({"a":1,"b":2})"}},
      {R"({"anyOf":[{"properties":{"k":{"const":"x"},"v":{"type":"integer"}},"required":["k","v"]},{"properties":{"k":{"const":"y"}},"required":["k"]}],"type":"object"})",
       {R"({"k":"x","v":1})", R"({"v":1,"k":"x"})", R"({"v":"s","k":"y"})"},
       {R"({"k":"x","v":"s"})", R"({"v":"s","k":"x"})"}},
      {R"({"allOf":[{"properties":{"a":{"minimum":3}}},{"properties":{"a":{"maximum":5}},"required":["a"]}],"type":"object"})",
       {R"({"a":4})"},
       {R"({"a":6})", R"({"a":2})", "{}"}},
      {R"({"type":"object","if":{"properties":{"t":{"const":1}},"required":["t"]},"then":{"required":["x"]},"else":{"required":["y"]}})",
       {R"({"t":1,"x":0})", R"({"t":2,"y":0})", R"({"y":0})"},
       {R"({"t":1,"y":0})", R"({"x":0})"}},
      {R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"l":{"$ref":"#/$defs/tree"},"v":{"type":"integer"}},"required":["v"],"additionalProperties":false}}})",
       {R"({"v":1})", R"({"l":{"l":{"v":3},"v":2},"v":1})"},
       {R"({"l":{}})", R"({"v":1,"l":{"v":"x"}})"}},
      {R"({"$id":"http://x/root.json","items":{"$ref":"item.json#num"},"type":"array","$defs":{"i":{"$id":"item.json","$anchor":"other","$defs":{"n":{"$anchor":"num","type":"null"}}}}})",
       {"[null]"},
       {"[1]"}},
  });
}

TEST(JsonSchemaTest, TheFormatRegexTakesWhatEveryLibraryReads) {
  Check({{R"({"type":"string","format":"regex"})",
          {R"x("")x", R"x("^[a-z0-9_-]+$")x", R"x("([abc])+\\s+$")x", R"x("^(?:a|(b{2,10}?|[^\\]]))*\\.(?=x|$)")x",
           R"x("a{3}|\\x41\\u00e9/")x"},
          {R"x("^(abc]")x", R"x("a**")x", R"x("[z-a]")x", R"x("*a")x", R"x("a{3,2}")x", R"x("\\Z")x", R"x("(")x",
           R"x("[]")x", R"x("\\")x", R"x("^*")x"}}});
}

TEST(JsonSchemaTest, LongLimitsBesidePatternsAreCounted) {
  const GrammarPtr grammar =
      Compile(R"({"type":"string","pattern":"^(ab|c)*(xyz)?$","minLength":3,"maxLength":20000})");
  ASSERT_NE(grammar, nullptr);
  const std::string full(20'000, 'c');
  EXPECT_TRUE(Matches(grammar, "\"" + full + "\""));
  EXPECT_FALSE(Matches(grammar, "\"" + full + "c\""));
  EXPECT_TRUE(Matches(grammar, "\"xyz\""));
  EXPECT_FALSE(Matches(grammar, "\"ab\""));
  EXPECT_TRUE(Matches(grammar, "\"" + std::string(19'997, 'c') + "xyz\""));
  EXPECT_FALSE(Matches(grammar, "\"" + std::string(19'998, 'c') + "xyz\""));
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.AcceptBytes("\"" + std::string(19'998, 'c')));
  EXPECT_FALSE(matcher.AcceptBytes("x"));  // y and z would have no room
  EXPECT_FALSE(matcher.AcceptBytes("\\u0078"));
  ASSERT_TRUE(matcher.AcceptBytes("c"));
  EXPECT_FALSE(matcher.AcceptBytes("a"));
  ExpectMaskIsExact(Compile(R"({"type":"string","pattern":"^(ab|c)*(na1)?$","maxLength":1300})"), "\"abcabna1\"");
  EXPECT_EQ(
      CompileJsonSchema(R"({"type":"string","pattern":"^x{90}$","maxLength":89})", SmallVocabulary()).status().code(),
      StatusCode::kInvalidArgument);
}

TEST(JsonSchemaTest, WhatNothingMeetsIsCutOff) {
  // The branch a recurses for ever, the branch b asks for the impossible: neither may be entered.
  const GrammarPtr grammar = Compile(R"({"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"},{"const":"ok"}],"$defs":{
      "a":{"type":"object","properties":{"x":{"$ref":"#/$defs/a"}},"required":["x"]},
      "b":{"type":"array","items":false,"minItems":1}}})");
  ASSERT_NE(grammar, nullptr);
  EXPECT_EQ(GrammarMatcher(grammar).ForcedBytes(4), "\"");
  EXPECT_FALSE(GrammarMatcher(grammar).AcceptBytes("{"));
  EXPECT_FALSE(GrammarMatcher(grammar).AcceptBytes("["));
  auto nothing = CompileJsonSchema(R"({"type":"string","minimum":3,"enum":[4]})", SmallVocabulary());
  EXPECT_EQ(nothing.status().code(), StatusCode::kInvalidArgument);
}

TEST(JsonSchemaTest, RefusalsNameKeywordAndPointer) {
  struct Refused {
    const char* schema;
    const char* pointer;
  };
  for (const Refused& r :
       {Refused{R"({"properties":{"a":{"unevaluatedProperties":false}}})", "/properties/a/unevaluatedProperties"},
        Refused{R"({"items":{"format":"idn-email"}})", "/items/format"},
        Refused{R"({"properties":{"p":{"pattern":"(a)\\1"}}})", "/properties/p/pattern"},
        Refused{R"({"items":{"type":"object"},"type":"array","uniqueItems":true})", "uniqueItems"},
        Refused{R"({"$ref":"http://example.com/other"})", "/$ref"}, Refused{R"({"$ref":"#"})", "leads back"},
        Refused{R"({"properties":{"m":{"multipleOf":1234567}}})", "/properties/m/multipleOf"}}) {
    auto grammar = CompileJsonSchema(r.schema, SmallVocabulary());
    EXPECT_EQ(grammar.status().code(), StatusCode::kUnsupported) << r.schema;
    EXPECT_THAT(grammar.status().message(), HasSubstr(r.pointer));
  }
  for (const char* bad : {"", "{", "3", R"({"type":"strin"})", R"({"minLength":-1})", R"({"properties":[]})"}) {
    EXPECT_EQ(CompileJsonSchema(bad, SmallVocabulary()).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(JsonSchemaTest, MasksAreExact) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"object"})", R"({"ab":"a\n","na":[1,{"x":null}],"abc":true})"},
      {R"({"type":"object","properties":{"name":{"type":"string","maxLength":4},"na":{"type":"integer"},"ab":{"enum":["abc","abcd"]}},"required":["na"],"additionalProperties":false})",
       R"({"ab":"abc","na":12,"name":"xé"})"},
      {R"({"type":"object","patternProperties":{"^a":{"type":"number","maximum":12}},"additionalProperties":{"type":"string"},"maxProperties":3})",
       R"({"ab":-1.5,"b":"ab","a":12})"},
      {R"({"type":"array","items":{"type":"string"},"uniqueItems":true})", R"(["ab","abc","","a"])"},
      {R"({"type":"array","items":{"enum":["a","b",12]},"uniqueItems":true})", R"(["b",12,"a"])"},
      {R"({"type":"array","contains":{"type":"integer"},"maxContains":1,"maxItems":3})", R"([true,12,"a"])"},
      {R"({"propertyNames":{"enum":["a","ab","x"]},"type":"object"})", R"({"ab":1,"x":null,"a":"a"})"},
      {R"({"propertyNames":{"pattern":"^(a.*|x[01])$"},"type":"object"})", R"({"x1":1,"x0":null,"ab":"a"})"}};
  for (const auto& [schema, text] : cases) ExpectMaskIsExact(Compile(schema), text);
  ExpectMaskIsExact(Compile(R"({"type":"object","properties":{"ab":{"type":"array","items":{"type":"integer"}}}})",
                            JsonWhitespace::kFlexible),
                    "{\n  \"ab\": [1,\n 2 ]\n}");
}

TEST(JsonSchemaTest, WhitespaceFollowsTheStyle) {
  const char* schema = R"({"type":"object","properties":{"a":{"type":"array"}}})";
  const char* spaced = R"({"a": [1, 2]})";
  const char* pretty = "{\n  \"a\" : [\n1 ]\n}";
  EXPECT_FALSE(Matches(Compile(schema, JsonWhitespace::kCompact), spaced));
  EXPECT_TRUE(Matches(Compile(schema, JsonWhitespace::kSpaced), spaced));
  EXPECT_FALSE(Matches(Compile(schema, JsonWhitespace::kSpaced), pretty));
  EXPECT_TRUE(Matches(Compile(schema, JsonWhitespace::kFlexible), pretty));
  EXPECT_FALSE(Matches(Compile(schema, JsonWhitespace::kFlexible), "{" + std::string(65, ' ') + "}"));
}

TEST(JsonSchemaTest, SamplesComeToAnEndAndAreAccepted) {
  for (
      const char* schema :
      {R"({"type":"object","required":["a","b"],"properties":{"a":{"type":"integer","minimum":7},"b":{"type":"array","minItems":3}}})",
       R"({"type":"array","items":{"type":"string","pattern":"^[a-f]{4}$"},"minItems":2})", R"(true)",
       R"({"type":"object","not":{"patternProperties":{"^k[0-9]*$":{"type":"integer"}}}})",
       R"x({"type":"string","pattern":"(^|\\r?\\n)--BEGIN\\r?\\n([0-9]\\s*)+--END($|\\n)"})x",
       R"({"type":"object","patternProperties":{"\\n\\u00e9":{"type":"null"}},"additionalProperties":false,"minProperties":2})",
       R"({"oneOf":[{"type":"integer"},{"type":"object","minProperties":2,"additionalProperties":{"type":"boolean"}}]})"}) {
    const GrammarPtr grammar = Compile(schema);
    for (uint64_t seed = 0; seed < 30; ++seed) {
      auto sample = SampleText(grammar, {.seed = seed}, nullptr);
      ASSERT_TRUE(sample.ok()) << sample.status().message();
      EXPECT_TRUE(Matches(grammar, *sample)) << *sample;
    }
  }
}

TEST(JsonSchemaTest, RollbackAndForkKeepTheSeenKeys) {
  const GrammarPtr grammar = Compile(R"({"type":"object","additionalProperties":{"type":"integer"}})");
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.AcceptBytes("{\"a\":1,"));
  GrammarMatcher fork = matcher;
  ASSERT_TRUE(matcher.AcceptBytes("\"b\":2"));
  EXPECT_FALSE(matcher.AcceptBytes(",\"b\":"));
  EXPECT_TRUE(fork.AcceptBytes("\"b\":"));
  matcher.Rollback(1);
  EXPECT_FALSE(matcher.AcceptBytes("\"a\":"));
  EXPECT_TRUE(matcher.AcceptBytes("\"b\":"));
}

TEST(JsonSchemaTest, LongDocumentsUseBoundedMemoryPerLevel) {
  const GrammarPtr grammar = Compile("true");
  GrammarMatcher matcher(grammar, 4);
  ASSERT_TRUE(matcher.AcceptBytes("["));
  for (int i = 0; i < 50'000; ++i) ASSERT_TRUE(matcher.AcceptBytes("{\"k\":[1]},"));
  ASSERT_TRUE(matcher.AcceptBytes(std::string(5'000, '[')));
  ASSERT_TRUE(matcher.AcceptBytes(std::string(5'001, ']')));
  EXPECT_TRUE(matcher.CanEnd());
}

}  // namespace
}  // namespace millrace::grammar
