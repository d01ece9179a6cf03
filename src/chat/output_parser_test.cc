#include "chat/output_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.h"

namespace millrace {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

struct Parsed {
  std::string content;
  std::string reasoning;
  std::vector<std::string> calls;  // "name(arguments)" or "id:name(arguments)"
  bool operator==(const Parsed&) const = default;
};

void PrintTo(const Parsed& parsed, std::ostream* out) {
  *out << "content: " << testing::PrintToString(parsed.content)
       << ", reasoning: " << testing::PrintToString(parsed.reasoning)
       << ", calls: " << testing::PrintToString(parsed.calls);
}

std::vector<OutputDelta> Merge(const std::vector<std::vector<OutputDelta>>& pushes) {
  std::vector<OutputDelta> merged;
  for (const auto& deltas : pushes) {
    for (const OutputDelta& delta : deltas) AppendDelta(delta, merged);
  }
  return merged;
}

std::vector<OutputDelta> ParseSplit(const OutputFormat& format, const OutputParserOptions& options,
                                    std::string_view text, const std::vector<size_t>& cuts) {
  OutputParser parser(format, options);
  std::vector<std::vector<OutputDelta>> pushes;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    pushes.push_back(parser.Push(text.substr(begin, cut - begin)));
    begin = cut;
  }
  pushes.push_back(parser.Push(text.substr(begin)));
  pushes.push_back(parser.Finish());
  return Merge(pushes);
}

Parsed Collect(const std::vector<OutputDelta>& deltas) {
  Parsed parsed;
  for (const OutputDelta& delta : deltas) {
    switch (delta.kind) {
      case OutputDelta::Kind::kContent:
        parsed.content += delta.text;
        break;
      case OutputDelta::Kind::kReasoning:
        parsed.reasoning += delta.text;
        break;
      case OutputDelta::Kind::kCallStart:
        parsed.calls.push_back((delta.id.empty() ? "" : delta.id + ":") + delta.name + "(");
        break;
      case OutputDelta::Kind::kCallArguments:
        parsed.calls.back() += delta.text;
        break;
    }
  }
  for (std::string& call : parsed.calls) call += ")";
  return parsed;
}

// Parses whole, byte by byte and in random pieces, which must agree.
Parsed Parse(const OutputFormat& format, std::string_view text, const OutputParserOptions& options = {}) {
  const auto whole = ParseSplit(format, options, text, {});
  std::vector<size_t> every;
  for (size_t i = 0; i < text.size(); ++i) every.push_back(i);
  EXPECT_EQ(Collect(ParseSplit(format, options, text, every)), Collect(whole)) << text;
  EXPECT_EQ(ParseSplit(format, options, text, every), whole) << text;
  std::mt19937 random(1234);
  for (int round = 0; round < 8; ++round) {
    std::vector<size_t> cuts;
    for (size_t i = 0; i < text.size(); ++i) {
      if (random() % 5 == 0) cuts.push_back(i);
    }
    EXPECT_EQ(ParseSplit(format, options, text, cuts), whole) << text;
  }
  return Collect(whole);
}

OutputFormat Format(std::string_view tools, std::string_view reasoning = "none") {
  return {FindReasoningFormat(reasoning).value(), FindToolFormat(tools).value()};
}

struct Case {
  const char* tools;
  std::string text;
  Parsed expected;
};

const Case kNamedFormats[] = {
    {"hermes",
     "Let me look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"</tool_call>\"]}}\n</tool_call>",
     {"Let me look.", "", {R"x(f({"a": [1, "</tool_call>"]}))x"}}},
    {"hermes",
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>",
     {"", "", {"f({})", "g({})"}}},
    {"hermes",
     R"(<tool_call>{"arguments": {"a": 1}, "id": "x1", "name": "f"}</tool_call> done)",
     {"done", "", {R"(x1:f({"a": 1}))"}}},
    {"hermes",
     R"(<tool_call>{"name": "f", "arguments": "{\"a\": \"\u00e9\\n\"}"}</tool_call>)",
     {"", "", {"f({\"a\": \"é\\n\"})"}}},
    {"hermes", "a <tool_call> is a tag, <tool_c too", {"a <tool_call> is a tag, <tool_c too", "", {}}},
    {"hermes", R"(<tool_call>{"name": "f", "arguments": {"a": 1</tool_call>ok)", {"ok", "", {R"(f({"a": 1))"}}},
    {"hermes", R"(<tool_call>{"name": "f", "argu)", {R"(<tool_call>{"name": "f", "argu)", "", {}}},
    {"qwen3_coder",
     "Hm.\n\n<tool_call>\n<function=f>\n<parameter=city>\n\nBern\n\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
     "<parameter=note>\n42\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=g>\n</function>\n</"
     "tool_call>",
     {"Hm.", "", {R"(f({"city": "\nBern\n", "days": 3, "note": "42"}))", "g({})"}}},
    {"qwen3_coder",
     "<function=f>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>\n",
     {"", "", {R"(f({"days": 3}))"}}},
    {"qwen3_coder", "<tool_call>\n{\"name\": 1}</tool_call>", {"<tool_call>\n{\"name\": 1}</tool_call>", "", {}}},
    {"seed_oss",
     "<seed:tool_call>\n<function=f>\n<parameter=city>a \"b\"</parameter>\n<parameter=tags>['x', None]"
     "</parameter>\n</function>\n</seed:tool_call>",
     {"", "", {R"(f({"city": "a \"b\"", "tags": ["x", null]}))"}}},
    {"llama3_json", R"({"name": "f", "parameters": {"a": 1}})", {"", "", {R"(f({"a": 1}))"}}},
    {"llama3_json",
     R"(<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {"b": 2}})",
     {"", "", {"f({})", R"(g({"b": 2}))"}}},
    {"llama3_json", R"({"name": "Bob", "age": 3})", {R"({"name": "Bob", "age": 3})", "", {}}},
    {"llama3_json", R"(JSON: {"name": "f", "parameters": {}})", {R"(JSON: {"name": "f", "parameters": {}})", "", {}}},
    {"pythonic",
     "[f(city='Bern', n=3, ok=True), g(), h(x={'a': (1, None)})]",
     {"", "", {R"(f({"city": "Bern", "n": 3, "ok": true}))", "g({})", R"(h({"x": {"a": [1, null]}}))"}}},
    {"pythonic",
     "<|python_tag|>brave_search.call(query=\"a, b)\")",
     {"", "", {R"x(brave_search({"query": "a, b)"}))x"}}},
    {"pythonic", "[see (1)] for more", {"[see (1)] for more", "", {}}},
    {"lfm2", "Hm. <|tool_call_start|>[f(a='x'), g()]<|tool_call_end|>ok", {"Hm.ok", "", {R"(f({"a": "x"}))", "g({})"}}},
    {"cohere",
     R"(<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {"a": 1}}]<|END_ACTION|>)",
     {"", "", {R"(f({"a": 1}))"}}},
    {"mistral",
     "ok[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{\"a\": 1}[TOOL_CALLS]g[ARGS]{}",
     {"ok", "", {R"(abcdefghi:f({"a": 1}))", "g({})"}}},
    {"mistral_json",
     R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "x"}, {"name": "g", "arguments": {}}])",
     {"", "", {R"(f({"a": 1}))", "g({})"}}},
    {"deepseek_v3",
     "x<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": "
     "1}\n```<｜tool▁call▁end｜>\n"
     "<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     {"x", "", {R"(f({"a": 1}))", "g({})"}}},
    {"deepseek_v31",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": "
     "1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>"
     "{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     {"", "", {R"(f({"a": 1}))", "g({})"}}},
    {"glm45",
     "Sure.\n<tool_call>f\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n<arg_key>days</"
     "arg_key>\n<arg_value>3"
     "</arg_value>\n</tool_call>\n<tool_call>g\n</tool_call>",
     {"Sure.", "", {R"(f({"city": "Bern", "days": 3}))", "g({})"}}},
    {"kimi_k2",
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"a\": "
     "1}<|tool_call_end|>"
     "<|tool_call_begin|>functions.g:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
     {"", "", {R"(functions.f:0:f({"a": 1}))", "functions.g:1:g({})"}}},
    {"minimax_m2",
     "\n<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"city\">Bern</parameter>\n<parameter "
     "name=\"days\">3"
     "</parameter>\n</invoke>\n<invoke name=\"g\">\n</invoke>\n</minimax:tool_call>",
     {"", "", {R"(f({"city": "Bern", "days": 3}))", "g({})"}}},
    {"harmony",
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f "
     "<|constrain|>json"
     "<|message|>{\"a\": 1}<|call|>",
     {"", "Hm.", {R"(f({"a": 1}))"}}},
    {"harmony", " to=functions.f<|channel|>commentary json<|message|>{\"a\": 1}", {"", "", {R"(f({"a": 1}))"}}},
    {"harmony",
     "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Hi <b>!<|return|>",
     {"Hi <b>!", "a", {}}},
    {"harmony", "plain answer", {"plain answer", "", {}}},
    {"granite", R"(<|tool_call|>[{"name": "f", "arguments": {"a": 1}}])", {"", "", {R"(f({"a": 1}))"}}},
    {"functionary",
     R"(<function=f>{"a": 1}</function><function=g>{}</function>)",
     {"", "", {R"(f({"a": 1}))", "g({})"}}},
    {"functionary_v32", "all\nHello\n>>>f\n{\"a\": 1}>>>g\n{}", {"Hello", "", {R"(f({"a": 1}))", "g({})"}}},
    {"none", "a <tool_call> b\n", {"a <tool_call> b\n", "", {}}},
};

TEST(OutputParser, ReadsEveryNamedFormat) {
  OutputParserOptions options;
  options.tools = Json::parse(R"([{"type": "function", "function": {"name": "f", "parameters": {"properties": {
      "city": {"type": "string"}, "days": {"type": "integer"}, "note": {"type": ["string", "null"]},
      "tags": {"type": "array"}}}}}])");
  for (const Case& c : kNamedFormats) {
    EXPECT_EQ(Parse(Format(c.tools), c.text, options), c.expected) << c.tools << "\n" << c.text;
  }
}

TEST(OutputParser, SeparatesReasoning) {
  const OutputFormat think = Format("hermes", "think");
  EXPECT_EQ(Parse(think, "<think>\na\n\nb\n</think>\n\nHi.\n"), (Parsed{"Hi.\n", "a\n\nb", {}}));
  EXPECT_EQ(Parse(think, "\n<think>\n\n</think>\n\nHi"), (Parsed{"Hi", "", {}}));
  EXPECT_EQ(Parse(think, "Hi <think>x</think>"), (Parsed{"Hi <think>x</think>", "", {}}));
  EXPECT_EQ(Parse(think, "<think>cut off </th"), (Parsed{"", "cut off </th", {}}));
  EXPECT_EQ(Parse(think, "<think>a</think>\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n"),
            (Parsed{"", "a", {"f({})"}}));
  OutputParserOptions inside;
  inside.starts_in_reasoning = true;
  EXPECT_EQ(Parse(think, "a</think>b", inside), (Parsed{"b", "a", {}}));
  EXPECT_EQ(Parse(think, "<think>\na <think> b</think>\nc", inside), (Parsed{"c", "a <think> b", {}}));
  EXPECT_EQ(Parse(Format("none", "mistral"), "[THINK]a[/THINK]b"), (Parsed{"b", "a", {}}));
  EXPECT_EQ(Parse(Format("none", "granite"), "Here is my thought process: a\nHere is my response: b"),
            (Parsed{"b", "a", {}}));
  EXPECT_TRUE(PromptOpensReasoning(think.reasoning, "<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(PromptOpensReasoning(think.reasoning, "<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(PromptOpensReasoning(think.reasoning, "what is <think>?\n"));
}

TEST(OutputParser, LeavesCallsAloneWithoutTools) {
  OutputParserOptions options;
  options.parse_tools = false;
  const char* text = "a\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n";
  EXPECT_EQ(Parse(Format("hermes"), text, options), (Parsed{text, "", {}}));
}

TEST(OutputParser, StreamsArgumentsAsTheyCome) {
  OutputParser parser(Format("hermes"));
  parser.Push("<tool_call>{\"name\": \"f\", ");
  auto deltas = parser.Push("\"arguments\": {\"a\"");
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0].name, "f");
  EXPECT_EQ(deltas[1].text, "{\"a\"");
  deltas = parser.Push(": 12");
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_EQ(deltas[0].text, ": 12");
}

// A call that never becomes one is held within the bound, then given back whole.
TEST(OutputParser, HoldsBackWithinTheBound) {
  const std::string text =
      "<tool_call>{\"arguments\": \"" + std::string(OutputParser::kMaxHeldBytes + 100, 'x') + "\", \"name\": \"f\"}";
  OutputParser parser(Format("hermes"));
  const auto pushed = parser.Push(text);
  const Parsed parsed = Collect(Merge({pushed, parser.Finish()}));
  EXPECT_TRUE(parsed.content == text);
  EXPECT_TRUE(parsed.calls.empty());
}

// Random strings over each format's own markers: every split gives what the whole text gives.
TEST(OutputParser, AnySplitGivesTheSame) {
  std::mt19937 random(99);
  const char* const names[] = {"hermes",  "qwen3_coder",  "seed_oss",    "llama3_json",     "pythonic",
                               "mistral", "mistral_json", "glm45",       "kimi_k2",         "minimax_m2",
                               "harmony", "granite",      "functionary", "functionary_v32", "lfm2",
                               "cohere",  "deepseek_v3",  "deepseek_v31"};
  for (const char* name : names) {
    const OutputFormat format = Format(name, "think");
    const ToolFormat& tools = format.tools;
    const std::vector<std::string> pieces = {tools.section_begin,
                                             tools.section_end,
                                             tools.call_begin,
                                             tools.call_end,
                                             tools.id_begin,
                                             tools.args_begin,
                                             tools.name_end,
                                             tools.param_begin,
                                             tools.param_name_end,
                                             tools.value_begin,
                                             tools.param_end,
                                             "<think>",
                                             "</think>",
                                             "\n",
                                             " ",
                                             "f",
                                             "{\"name\": \"f\", \"arguments\": {",
                                             "}",
                                             "\"",
                                             "\\",
                                             "[",
                                             "]",
                                             "(",
                                             ")",
                                             "a=",
                                             ",",
                                             "{",
                                             ":",
                                             "1",
                                             "<",
                                             "é",
                                             "<|channel|>final",
                                             "<|message|>",
                                             "<|end|>",
                                             " to=functions.f"};
    for (int round = 0; round < 150; ++round) {
      std::string text;
      for (int i = 0; i < 25; ++i) text += pieces[random() % pieces.size()];
      OutputParserOptions options;
      options.starts_in_reasoning = round % 7 == 0;
      Parse(format, text, options);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Work grows with the text, not with its square: 64 times the text takes about 64 times as long.
TEST(OutputParser, UnfinishedMarkersCostNoMore) {
  const OutputFormat format = Format("qwen3_coder", "think");
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "<tool_cal\n ";
  OutputParser parser(format);
  std::string content;
  for (const OutputDelta& delta : parser.Push(text)) content += delta.text;
  for (const OutputDelta& delta : parser.Finish()) content += delta.text;
  EXPECT_TRUE(content == text);
}

TEST(OutputParser, TellsWhereTheReasoningIs) {
  OutputFormat think;
  think.reasoning = *FindReasoningFormat("think");
  const auto spans = [](OutputFormat format, bool starts, const std::string& text) {
    OutputParser parser(std::move(format), {.starts_in_reasoning = starts});
    for (const char c : text) parser.Push(std::string(1, c));
    std::vector<std::pair<size_t, size_t>> found;
    for (const TextSpan& span : parser.reasoning()) found.emplace_back(span.begin, span.end);
    return found;
  };
  using Spans = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(spans(think, false, "<think>ab</think>c <think>d</think>"), (Spans{{7, 9}}));
  EXPECT_EQ(spans(think, true, "ab</think>c"), (Spans{{0, 2}}));
  EXPECT_EQ(spans(think, true, "ab</thin"), (Spans{{0, SIZE_MAX}}));
  EXPECT_EQ(spans(think, false, "plain"), Spans{});
  OutputFormat harmony;
  harmony.tools.kind = ToolFormat::Kind::kHarmony;
  EXPECT_EQ(
      spans(harmony, false, "<|channel|>analysis<|message|>ab<|end|><|start|>assistant<|channel|>final<|message|>c"),
      (Spans{{30, 32}}));
}

}  // namespace
}  // namespace millrace
