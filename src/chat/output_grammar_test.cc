// What the grammar of an answer allows, the parser of the same format reads back: calls of the demanded functions whose
// arguments meet their schemas.
#include "chat/output_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "chat/output_parser.h"
#include "grammar/grammar_tool.h"
#include "grammar/test_vocabulary.h"

namespace millrace {
namespace {

using grammar::GrammarMatcher;
using grammar::GrammarPtr;
using Json = nlohmann::ordered_json;
using testing::HasSubstr;

// All bytes, a few longer tokens, and no control token that a marker could mean.
class PlainTokenizer : public grammar::FakeTokenizer {
 public:
  using FakeTokenizer::FakeTokenizer;
  std::optional<TokenId> FindToken(std::string_view) const override { return std::nullopt; }
};

const grammar::FakeTokenizer& Bytes() {
  static const PlainTokenizer tokenizer({"{\"", "\": ", "</", "think>", "ab", "name"});
  return tokenizer;
}
grammar::VocabularyPtr Vocabulary() {
  static const grammar::VocabularyPtr vocabulary = std::make_shared<const grammar::GrammarVocabulary>(Bytes());
  return vocabulary;
}

Json Tools() {
  return Json::parse(R"([
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "required": ["city", "days"],
      "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"enum": ["C", "F", "1"]}, "note": {"type": ["string", "null", "integer"], "maxLength": 8, "minimum": 5},
        "tags": {"type": "array", "maxItems": 2, "items": {"enum": ["a", "b"]}}, "exact": {"type": "boolean"},
        "where": {"$ref": "#/$defs/place"}},
      "$defs": {"place": {"type": "object", "required": ["x"], "additionalProperties": false,
        "properties": {"x": {"type": "number", "minimum": 0, "maximum": 1}}}}}}},
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "find_it", "parameters": {"type": "object",
      "properties": {"q": {"type": "string", "pattern": "^[a-z]{2,5}$"}, "n": {"type": "integer", "maximum": 20, "minimum": 10}}}}}])");
}

const char* const kFormats[] = {"hermes",  "qwen3_coder",  "seed_oss",    "llama3_json",     "pythonic",
                                "mistral", "mistral_json", "glm45",       "kimi_k2",         "minimax_m2",
                                "harmony", "granite",      "functionary", "functionary_v32", "lfm2",
                                "cohere",  "deepseek_v3",  "deepseek_v31"};

OutputFormat Format(const std::string& tools, const std::string& reasoning = "none") {
  return {FindReasoningFormat(reasoning).value(), FindToolFormat(tools).value()};
}

GrammarPtr Compile(const OutputFormat& format, const OutputDemand& demand) {
  auto compiled = CompileOutputGrammar(format, demand, Vocabulary());
  EXPECT_TRUE(compiled.ok()) << compiled.status().message();
  return compiled.ok() ? *compiled : nullptr;
}

struct Answer {
  std::string content, reasoning;
  std::vector<std::pair<std::string, std::string>> calls;
};

Answer Parse(const OutputFormat& format, const OutputDemand& demand, const std::string& text) {
  OutputFormat used = format;
  if (demand.choice == ToolChoice::kRequired) used.tools = FormatOfForcedCalls(format.tools);
  OutputParserOptions options;
  options.tools = demand.tools;
  options.starts_in_reasoning = demand.opens_reasoning;
  OutputParser parser(used, options);
  std::vector<OutputDelta> deltas = parser.Push(text);
  for (OutputDelta& delta : parser.Finish()) AppendDelta(std::move(delta), deltas);
  Answer answer;
  for (const OutputDelta& delta : deltas) {
    if (delta.kind == OutputDelta::Kind::kContent) answer.content += delta.text;
    if (delta.kind == OutputDelta::Kind::kReasoning) answer.reasoning += delta.text;
    if (delta.kind == OutputDelta::Kind::kCallStart) answer.calls.emplace_back(delta.name, "");
    if (delta.kind == OutputDelta::Kind::kCallArguments) answer.calls.back().second += delta.text;
  }
  return answer;
}

// Whether some JSON text meets the parameters of a function, judged after a round trip through another spelling.
void ExpectMeets(const std::string& name, const std::string& arguments, const std::string& text) {
  for (const Json& tool : Tools()) {
    if (tool["function"]["name"] != Json(name)) continue;
    const Json value = Json::parse(arguments, nullptr, false);
    ASSERT_TRUE(value.is_object()) << arguments << "\n" << text;
    static std::map<std::string, GrammarPtr> schemas;
    if (!schemas.contains(name)) {
      schemas[name] = grammar::CompileJsonSchema(tool["function"]["parameters"].dump(), Vocabulary()).value();
    }
    EXPECT_TRUE(grammar::AcceptsText(schemas[name], value.dump())) << value.dump() << "\n" << text;
    return;
  }
  FAIL() << "no function " << name << "\n" << text;
}

TEST(OutputGrammar, EveryFormatsCallsReadBack) {
  for (const char* name : kFormats) {
    for (const bool parallel : {true, false}) {
      OutputDemand demand;
      demand.tools = Tools();
      demand.choice = ToolChoice::kRequired;
      demand.parallel_calls = parallel;
      const OutputFormat format = Format(name);
      const GrammarPtr compiled = Compile(format, demand);
      ASSERT_NE(compiled, nullptr) << name;
      for (uint64_t seed = 0; seed < 5; ++seed) {
        const auto text = grammar::SampleText(compiled, {.seed = seed, .max_random_tokens = 120}, nullptr);
        ASSERT_TRUE(text.ok()) << name << ": " << text.status().message();
        const Answer answer = Parse(format, demand, *text);
        ASSERT_GE(answer.calls.size(), 1u) << name << "\n" << *text;
        if (!parallel) {
          EXPECT_EQ(answer.calls.size(), 1u) << name << "\n" << *text;
        }
        EXPECT_EQ(answer.content, "") << name << "\n" << *text;
        for (const auto& [function, arguments] : answer.calls) ExpectMeets(function, arguments, name + ("\n" + *text));
        if (HasFailure()) return;
      }
    }
  }
}

TEST(OutputGrammar, NamedFunctionsAndModelsWithoutCalls) {
  OutputDemand demand;
  demand.tools = Tools();
  demand.choice = ToolChoice::kRequired;
  demand.function = "find_it";
  for (const char* name : {"hermes", "kimi_k2", "pythonic", "none"}) {
    const auto text = grammar::SampleText(Compile(Format(name), demand), {.seed = 5}, nullptr);
    ASSERT_TRUE(text.ok());
    const Answer answer = Parse(Format(name), demand, *text);
    ASSERT_GE(answer.calls.size(), 1u) << name << "\n" << *text;
    for (const auto& call : answer.calls) EXPECT_EQ(call.first, "find_it");
  }
  demand.function = "other";
  EXPECT_THAT(CompileOutputGrammar(Format("hermes"), demand, Vocabulary()).status().message(), HasSubstr("other"));
}

TEST(OutputGrammar, AutoLeavesTextAloneUntilACall) {
  for (const char* name : kFormats) {
    OutputDemand demand;
    demand.tools = Tools();
    const OutputFormat format = Format(name);
    EXPECT_EQ(Compile(format, demand), nullptr) << "nothing is strict";
    demand.tools[1]["function"]["strict"] = true;
    const GrammarPtr compiled = Compile(format, demand);
    ASSERT_NE(compiled, nullptr) << name;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const auto text = grammar::SampleText(compiled, {.seed = seed, .max_random_tokens = 60}, nullptr);
      ASSERT_TRUE(text.ok()) << name << ": " << text.status().message();
      for (const auto& [function, arguments] : Parse(format, demand, *text).calls) {
        ExpectMeets(function, arguments, name + ("\n" + *text));
      }
      if (HasFailure()) return;
    }
    // A call that any function could not be is refused.
    const std::string& trigger =
        format.tools.section_begin.empty() ? format.tools.call_begin : format.tools.section_begin;
    if (format.tools.kind == ToolFormat::Kind::kNamed || trigger.empty()) continue;
    GrammarMatcher matcher(compiled);
    if (format.tools.kind == ToolFormat::Kind::kXml || trigger == "<tool_call>") {
      ASSERT_TRUE(matcher.AcceptBytes("Let me see. " + trigger)) << name;
      EXPECT_FALSE(matcher.AcceptBytes("nonsense")) << name;
    }
  }
}

TEST(OutputGrammar, ConstraintsApplyAfterTheReasoning) {
  OutputDemand demand;
  demand.content = grammar::InGrammar(grammar::GrammarKind::kJsonSchema, R"({"type":"integer"})");
  const OutputFormat think = Format("hermes", "think");
  const auto accepts = [&](const std::string& text) { return grammar::AcceptsText(Compile(think, demand), text); };
  EXPECT_TRUE(accepts("12"));
  EXPECT_TRUE(accepts("<think>\n\"so\" <tool_call>...</think>\n\n12"));
  EXPECT_FALSE(accepts("<think>\nso</think>\n\nso"));
  EXPECT_FALSE(accepts("so</think>12"));
  EXPECT_FALSE(accepts("<think>never ends"));
  demand.opens_reasoning = true;
  EXPECT_TRUE(accepts("so</think>12"));
  EXPECT_FALSE(accepts("12"));
  demand.opens_reasoning = false;
  demand.may_reason = false;
  EXPECT_FALSE(accepts("<think>so</think>12"));
  const auto harmony = [&](const std::string& text) {
    return grammar::AcceptsText(Compile(Format("harmony"), demand), text);
  };
  EXPECT_TRUE(harmony("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>12"));
  EXPECT_FALSE(harmony("<|channel|>final<|message|>so"));
}

TEST(OutputGrammar, CallsOrTheContentThatWasAskedFor) {
  OutputDemand demand;
  demand.tools = Tools();
  demand.content = grammar::InGrammar(grammar::GrammarKind::kJsonSchema, R"({"type":"integer"})");
  const GrammarPtr compiled = Compile(Format("hermes", "think"), demand);
  EXPECT_TRUE(grammar::AcceptsText(compiled, "12"));
  EXPECT_TRUE(grammar::AcceptsText(
      compiled, "<think>a</think>\n<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(grammar::AcceptsText(compiled, "text"));
}

// Tokens are single bytes here.
TEST(OutputGrammar, BudgetsEndTheReasoning) {
  OutputDemand demand;
  demand.thinking_budget = 5;
  demand.opens_reasoning = true;
  GrammarMatcher matcher(Compile(Format("hermes", "think"), demand));
  for (const char c : std::string("12345")) ASSERT_TRUE(matcher.AcceptToken(c));
  EXPECT_FALSE(matcher.CanEnd());
  EXPECT_EQ(matcher.ForcedBytes(), "</think>");
  EXPECT_FALSE(matcher.AcceptBytes("6"));
  ASSERT_TRUE(matcher.AcceptBytes("</think>"));
  EXPECT_TRUE(matcher.AcceptBytes("anything at all"));
  EXPECT_TRUE(matcher.CanEnd());

  demand.opens_reasoning = false;
  GrammarMatcher opened(Compile(Format("hermes", "think"), demand));
  GrammarMatcher plain = opened;
  ASSERT_TRUE(plain.AcceptBytes("no reasoning, and <tool_call> what follows"));
  EXPECT_TRUE(plain.CanEnd());
  ASSERT_TRUE(opened.AcceptBytes("<think>"));
  // In the middle of a character and of the marker.
  for (const char* token : {"a", "b", "\xC3", "\xA9", "<"})
    ASSERT_TRUE(opened.AcceptToken(static_cast<uint8_t>(token[0])));
  EXPECT_EQ(opened.ForcedBytes(), "</think>");
  demand.thinking_budget = 0;
  demand.opens_reasoning = true;
  EXPECT_EQ(GrammarMatcher(Compile(Format("none", "granite"), demand)).ForcedBytes(), "Here is my response:");
}

TEST(OutputGrammar, SchemasThatCannotBeEnforcedAreNamed) {
  OutputDemand demand;
  demand.choice = ToolChoice::kRequired;
  demand.tools = Json::parse(R"([{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
      "properties": {"a": {"$dynamicRef": "#x"}}}}}])");
  const auto refusal = [&](const char* format) {
    return CompileOutputGrammar(Format(format), demand, Vocabulary()).status().message();
  };
  EXPECT_THAT(refusal("hermes"), testing::AllOf(HasSubstr("tools[0].function.parameters"), HasSubstr("$dynamicRef")));
  demand.tools[0]["function"]["parameters"] =
      Json::parse(R"({"type": "object", "properties": {}, "minProperties": 1})");
  EXPECT_THAT(refusal("qwen3_coder"), HasSubstr("minProperties"));
  EXPECT_EQ(refusal("hermes"), "");
  demand.tools[0]["function"]["strict"] = false;  // then any arguments do
  EXPECT_EQ(refusal("qwen3_coder"), "");
  demand.tools[0]["function"]["name"] = "two words";
  EXPECT_THAT(refusal("hermes"), HasSubstr("tools[0].function.name"));
}

}  // namespace
}  // namespace millrace
