// The formats that templates teach: every published template that renders tool calls gives a format that reads them
// back.
#include "chat/output_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "chat/output_parser.h"

namespace millrace {
namespace {

using Json = nlohmann::ordered_json;

const Json kSpecialTokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};

Json Tools() {
  return Json::parse(
      R"([{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": {
      "type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "City"}, "days": {"type": "integer", "description": "Days"},
        "exact": {"type": "boolean", "description": "Exact"}, "score": {"type": "number", "description": "Score"},
        "tags": {"type": "array", "description": "Tags", "items": {"type": "string"}},
        "where": {"type": "object", "description": "Where", "properties": {}}}}}}])");
}

Json Call(const std::string& id, const Json& arguments) {
  return {{"id", id}, {"type", "function"}, {"function", {{"name", "get_weather"}, {"arguments", arguments}}}};
}

std::string Render(const ChatTemplate& chat_template, const Json& answer) {
  RenderInput input;
  input.messages = {{{"role", "user"}, {"content", "Q"}}};
  input.messages.push_back(answer);
  input.tools = Tools();
  input.special_tokens = kSpecialTokens;
  const auto spans = chat_template.Render(input);
  return spans.ok() ? JoinSpans(*spans) : "";
}

// What the model would have generated for this message: the template's text after the assistant's header, without the
// end of the turn.
std::string Generated(const ChatTemplate& chat_template, const Json& answer) {
  const std::string mark = "\x01";
  const std::string plain = Render(chat_template, {{"role", "assistant"}, {"content", mark}});
  const std::string text = Render(chat_template, answer);
  const size_t header = plain.find(mark);
  if (header == std::string::npos || text.empty()) return "";
  const std::string end = plain.substr(header + 1, plain.find('\n', header + 2) - header - 1);
  size_t begin = 0;
  while (begin < header && plain[begin] == text[begin]) ++begin;
  const size_t stop = end.empty() ? std::string::npos : text.rfind(end);
  return text.substr(begin, stop == std::string::npos || stop < begin ? stop : stop - begin);
}

struct ReadCall {
  std::string id;
  std::string name;
  std::string arguments;
};

std::vector<ReadCall> Read(const OutputFormat& format, const std::string& text) {
  OutputParserOptions options;
  options.tools = Tools();
  OutputParser parser(format, options);
  std::vector<OutputDelta> deltas = parser.Push(text);
  for (OutputDelta& delta : parser.Finish()) AppendDelta(std::move(delta), deltas);
  std::vector<ReadCall> calls;
  for (const OutputDelta& delta : deltas) {
    if (delta.kind == OutputDelta::Kind::kCallStart) calls.push_back({delta.id, delta.name, ""});
    if (delta.kind == OutputDelta::Kind::kCallArguments) calls.back().arguments += delta.text;
  }
  return calls;
}

const std::vector<Json> kArguments = {
    Json::parse(R"({"city": "Bern"})"),
    Json::parse(R"({"city": "Zürich \"HB\"\n<b>'x'</b> \\ {}", "days": 3, "exact": true, "score": 0.5})"),
    Json::parse(R"({"city": "42", "tags": ["a", "b c"], "where": {"x": [1, null, false], "y": "it's"}})"),
    Json::parse(R"({"city": "true", "exact": false, "tags": [], "where": {}})"),
};

void ExpectReadsBack(const ChatTemplate& chat_template, const OutputFormat& format, const std::string& label) {
  for (const Json& first : kArguments) {
    for (const bool two : {false, true}) {
      Json calls = Json::array({Call("call00001", first)});
      if (two) calls.push_back(Call("call00002", kArguments[0]));
      const std::string text =
          Generated(chat_template, {{"role", "assistant"}, {"content", ""}, {"tool_calls", calls}});
      // Some templates take one call only.
      if (two && text.empty()) continue;
      ASSERT_FALSE(text.empty()) << label;
      std::vector<ReadCall> read = Read(format, text);
      // Some render the first call only.
      const bool one = text.find("get_weather") == text.rfind("get_weather");
      ASSERT_EQ(read.size(), one ? 1u : 2u) << label << "\n" << text;
      for (size_t i = 0; i < read.size(); ++i) {
        EXPECT_EQ(read[i].name, "get_weather") << label << "\n" << text;
        const Json arguments = Json::parse(read[i].arguments, nullptr, false);
        EXPECT_EQ(arguments, i == 0 ? first : kArguments[0]) << label << "\n" << text << "\n" << read[i].arguments;
      }
    }
  }
}

TEST(OutputFormat, NamesAreListedInTheError) {
  EXPECT_THAT(FindToolFormat("nope").status().message(), testing::HasSubstr("hermes, qwen3_coder"));
  EXPECT_THAT(FindReasoningFormat("nope").status().message(), testing::HasSubstr("think"));
}

TEST(OutputFormat, IsLearntFromATemplate) {
  const auto json = ChatTemplate::Compile(
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] %}\n<call>{\"name\": \"{{ "
      "c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}</call>{% endfor %}<|end|>\n{% endfor "
      "%}");
  ASSERT_TRUE(json.ok());
  const OutputFormat format = DeriveOutputFormat(*json, kSpecialTokens);
  EXPECT_EQ(format.tools.kind, ToolFormat::Kind::kJson);
  EXPECT_EQ(format.tools.call_begin, "<call>");
  EXPECT_EQ(format.tools.call_end, "</call>");
  ExpectReadsBack(*json, format, "json");

  const auto named = ChatTemplate::Compile(
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.tool_calls %}<calls>{% for c in m.tool_calls "
      "%}<fn>{{ "
      "c.function.name }}<args>{{ c.function.arguments | tojson }}</fn>{% endfor %}</calls>{% endif %}<|end|>\n"
      "{% endfor %}");
  ASSERT_TRUE(named.ok());
  const OutputFormat learnt = DeriveOutputFormat(*named, kSpecialTokens);
  EXPECT_EQ(learnt.tools.section_begin, "<calls>");
  EXPECT_EQ(learnt.tools.call_begin, "<fn>");
  EXPECT_EQ(learnt.tools.args_begin, "<args>");
  EXPECT_EQ(learnt.tools.call_end, "</fn>");
  EXPECT_EQ(learnt.tools.section_end, "</calls>");
  ExpectReadsBack(*named, learnt, "named");

  const auto plain = ChatTemplate::Compile("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(DeriveOutputFormat(*plain, kSpecialTokens).tools.kind, ToolFormat::Kind::kNone);
}

TEST(OutputFormat, PublishedTemplatesReadTheirOwnCalls) {
  const std::map<std::string, std::pair<std::string, std::string>> expected = {
      {"ByteDance-Seed-OSS", {"seed_oss", "seed"}},
      {"GLM-4.6", {"glm45", "think"}},
      {"HuggingFaceTB-SmolLM3-3B", {"none", "think"}},
      {"Kimi-K2-Instruct", {"kimi_k2", "none"}},
      {"MiniMax-M2", {"minimax_m2", "think"}},
      {"Mistral-Small-3.2-24B-Instruct-2506", {"mistral", "none"}},
      {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", {"hermes", "none"}},
      {"Qwen-QwQ-32B", {"hermes", "think"}},
      {"Qwen-Qwen3-0.6B", {"hermes", "think"}},
      {"Qwen3-Coder", {"qwen3_coder", "none"}},
      {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", {"deepseek_v3", "think"}},
      {"deepseek-ai-DeepSeek-V3.1", {"deepseek_v31", "think"}},
      {"meta-llama-Llama-3.1-8B-Instruct", {"llama3_json", "none"}},
      {"meta-llama-Llama-3.2-3B-Instruct", {"llama3_json", "none"}},
      {"openai-gpt-oss-120b", {"harmony", "none"}},
      {"qwen2.5-instruct", {"hermes", "none"}},
  };
  const char* data = std::getenv("MILLRACE_DATA");
  const std::string folder =
      data != nullptr && *data != '\0' ? data : std::string(MILLRACE_SOURCE_DIR) + "/../shared/data";
  size_t num_read = 0;
  for (const auto& [name, formats] : expected) {
    const auto source = ReadFile(folder + "/chat_templates/" + name + ".jinja", 1 << 20);
    if (!source.ok()) continue;
    ++num_read;
    const auto compiled = ChatTemplate::Compile(*source);
    ASSERT_TRUE(compiled.ok());
    const OutputFormat derived = DeriveOutputFormat(*compiled, kSpecialTokens);
    EXPECT_EQ(derived.reasoning.begin, FindReasoningFormat(formats.second)->begin) << name;
    EXPECT_EQ(derived.reasoning.end, FindReasoningFormat(formats.second)->end) << name;
    const OutputFormat named = {derived.reasoning, FindToolFormat(formats.first).value()};
    EXPECT_EQ(derived.tools.kind, named.tools.kind) << name;
    if (named.tools.kind == ToolFormat::Kind::kNone) continue;
    ExpectReadsBack(*compiled, derived, name + " derived");
    ExpectReadsBack(*compiled, named, name + " named");
  }
  // No template that renders calls is left out.
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder + "/chat_templates", error)) {
    const std::string name = file.path().stem();
    const auto compiled = ChatTemplate::Compile(*ReadFile(file.path(), 1 << 20));
    ASSERT_TRUE(compiled.ok()) << name;
    const Json calls = Json::array({Call("call00001", kArguments[0])});
    const std::string text = Render(*compiled, {{"role", "assistant"}, {"content", ""}, {"tool_calls", calls}});
    const size_t question = text.rfind("Q");
    const bool renders = question != std::string::npos && text.find("get_weather", question) != std::string::npos;
    if (renders) {
      EXPECT_TRUE(expected.contains(name) && expected.at(name).first != "none") << name << "\n" << text;
    }
  }
  if (num_read == 0) GTEST_SKIP() << "no chat templates in " << folder << " (set MILLRACE_DATA)";
}

}  // namespace
}  // namespace millrace
