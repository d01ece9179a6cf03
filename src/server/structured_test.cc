// Answers that must have a form: constraints, tool calls, the older function calls, reasoning.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/choice_parser.h"
#include "server/test_server.h"

namespace millrace {
namespace {

constexpr const char* kThinkingTemplate =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>{% if enable_thinking is not "
    "defined or "
    "enable_thinking %}<think>\n{% endif %}";

TEST(Server, ConstrainedOutputsParse) {
  Json request = Chat(200);
  request["ignore_eos"] = false;
  request["temperature"] = 1;
  request["seed"] = 3;
  request["response_format"] = {{"type", "json_schema"},
                                {"json_schema", {{"name", "pair"}, {"strict", true}, {"schema", Json::parse(R"({
      "type": "object", "properties": {"n": {"type": "integer", "minimum": 10, "maximum": 99}, "ok": {"type": "boolean"}},
      "required": ["n", "ok"], "additionalProperties": false})")}}}};
  for (const bool stream : {false, true}) {
    request["stream"] = stream;
    const TestReply reply = Shared().Post("/v1/chat/completions", request);
    ASSERT_EQ(reply.status, 200) << reply.body;
    if (stream) continue;  // the same tokens; only that it is served
    const Json out = Json::parse(reply.json()["choices"][0]["message"]["content"].get<std::string>(), nullptr, false);
    ASSERT_TRUE(out.is_object()) << reply.body;
    EXPECT_GE(out["n"], 10);
    EXPECT_LE(out["n"], 99);
    EXPECT_TRUE(out["ok"].is_boolean());
  }
  const TestReply choice =
      Shared().Post("/v1/completions", {{"prompt", "a"}, {"guided_choice", {"red", "green"}}, {"max_tokens", 20}});
  ASSERT_EQ(choice.status, 200) << choice.body;
  const std::string text = choice.json()["choices"][0]["text"];
  EXPECT_TRUE(text == "red" || text == "green") << text;
  const std::string open =
      Shared().Post("/tokenize", {{"prompt", "<"}, {"add_special_tokens", false}}).json()["tokens"][0].dump();
  for (const auto& [constraint, expected] : std::vector<std::pair<Json, std::string>>{
           {{{"guided_grammar", "root ::= \"ab\" [cd]{2} \"e\""}}, "^ab[cd]{2}e$"},
           {{{"guided_grammar", "start: \"ab\" LAST\nLAST: /[cd]e/\n"}}, "^ab[cd]e$"},
           {{{"guided_regex", "x[yz]{3}"}}, "^x[yz]{3}$"},
           {{{"structured_outputs", {{"regex", "x[yz]{3}"}, {"disable_fallback", true}}}}, "^x[yz]{3}$"},
           {{{"structured_outputs", {{"json_object", true}}}}, "^\\{"},
           {{{"guided_grammar", "sql"}}, "^[SsIiUuDd][A-Za-z]{5}[[:space:]]"},
           {{{"response_format",
              {{"type", "structural_tag"},
               {"triggers", {"<"}},
               {"structures",
                {{{"begin", "<one>"}, {"schema", {{"enum", {1, 2}}}}, {"end", "</f>"}},
                 {{"begin", "<two>"}, {"schema", {{"enum", {3}}}}, {"end", "</f>"}}}}}},
             {"logit_bias", {{open, 100}}}},
            "^<(one>[12]|two>3)</f>"}}) {
    Json body = {{"prompt", "a"}, {"max_tokens", 40}, {"temperature", 1}, {"seed", 5}};
    body.update(constraint);
    const TestReply reply = Shared().Post("/v1/completions", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_THAT(reply.json()["choices"][0]["text"].get<std::string>(), ::testing::ContainsRegex(expected))
        << body.dump();
  }
}

Json ToolRequest(const Json& tool_choice, bool stream) {
  Json request = Chat(600, stream);
  request["ignore_eos"] = false;
  request["temperature"] = 1;
  request["seed"] = 11;
  request["tools"] = Json::parse(R"([{"type": "function", "function": {"name": "add", "parameters": {"type": "object",
      "properties": {"a": {"type": "integer", "maximum": 9, "minimum": 0}, "b": {"enum": ["one", "two"]}}, "required": ["a", "b"]}}},
      {"type": "function", "function": {"name": "now"}}])");
  request["tool_choice"] = tool_choice;
  request["parallel_tool_calls"] = false;
  return request;
}

void ExpectCall(const std::string& name, const std::string& arguments) {
  const Json value = Json::parse(arguments, nullptr, false);
  ASSERT_TRUE(value.is_object()) << arguments;
  if (name == "now") {
    EXPECT_TRUE(value.empty()) << arguments;
  } else {
    EXPECT_EQ(name, "add");
    EXPECT_TRUE(value["a"].is_number() && value["a"] >= 0 && value["a"] <= 9) << arguments;
    EXPECT_TRUE(value["b"] == "one" || value["b"] == "two") << arguments;
  }
}

// The model is noise: that its calls parse is the grammar's doing.
TEST(Server, DemandedCallsAreMadeStreamedAndWhole) {
  const Json add = {{"type", "function"}, {"function", {{"name", "add"}}}};
  for (const std::string& parser :
       {std::string("auto"), std::string("qwen3_coder"), std::string("mistral"), std::string("pythonic")}) {
    ServerOptions options;
    options.service.tool_call_parser = parser;
    options.service.chat_template = kThinkingTemplate;
    options.service.reasoning_parser = "think";
    const TestServer fixture = StartServer(options);
    for (const Json& choice : {Json("required"), add}) {
      Json request = ToolRequest(choice, false);
      request["thinking_token_budget"] = 7;
      const TestReply whole = fixture.Post("/v1/chat/completions", request);
      ASSERT_EQ(whole.status, 200) << whole.body;
      const Json answer = whole.json()["choices"][0];
      EXPECT_EQ(answer["finish_reason"], "tool_calls") << whole.body;
      EXPECT_TRUE(answer["message"]["content"].is_null());
      EXPECT_TRUE(answer["message"].contains("reasoning_content")) << whole.body;
      ASSERT_EQ(answer["message"]["tool_calls"].size(), 1u) << whole.body;
      const Json function = answer["message"]["tool_calls"][0]["function"];
      ExpectCall(function["name"], function["arguments"]);
      if (choice != Json("required")) {
        EXPECT_EQ(function["name"], "add");
      }

      request["stream"] = true;
      const TestReply streamed = fixture.Post("/v1/chat/completions", request);
      std::string name, arguments, reasoning, finish;
      for (const std::string& event : streamed.events()) {
        const Json chunk = Json::parse(event, nullptr, false);
        if (!chunk.is_object()) continue;
        const Json& delta = chunk["choices"][0]["delta"];
        if (delta.contains("reasoning_content")) reasoning += delta["reasoning_content"].get<std::string>();
        if (chunk["choices"][0]["finish_reason"].is_string()) finish = chunk["choices"][0]["finish_reason"];
        if (!delta.contains("tool_calls")) continue;
        const Json& call = delta["tool_calls"][0]["function"];
        if (call.contains("name")) name += call["name"].get<std::string>();
        arguments += call["arguments"].get<std::string>();
      }
      EXPECT_EQ(finish, "tool_calls");
      EXPECT_EQ(name, function["name"]);
      EXPECT_EQ(arguments, function["arguments"]);
      EXPECT_EQ(reasoning, answer["message"]["reasoning_content"]);
    }
    Json items = {{"input", "a"},
                  {"max_output_tokens", 600},
                  {"seed", 11},
                  {"tool_choice", "required"},
                  {"parallel_tool_calls", false},
                  {"thinking_token_budget", 7},
                  {"tools", {{{"type", "function"}, {"name", "now"}}}}};
    const TestReply response = fixture.Post("/v1/responses", items);
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.json()["output"].back()["type"], "function_call") << response.body;
    Json direct = ToolRequest("none", false);
    direct["chat_template_kwargs"] = {{"enable_thinking", false}};
    direct["response_format"] = {{"type", "json_schema"},
                                 {"json_schema", {{"name", "x"}, {"schema", {{"enum", {1, 2}}}}}}};
    const TestReply reply = fixture.Post("/v1/chat/completions", direct);
    ASSERT_EQ(reply.status, 200) << reply.body;
    const std::string content = reply.json()["choices"][0]["message"]["content"];
    EXPECT_TRUE(content == "1" || content == "2") << reply.body;
  }
}

// The older fields: functions and function_call, in requests, answers, streams and conversations.
TEST(Server, FunctionCallsInTheirOlderForm) {
  Json request = ToolRequest(nullptr, false);
  request["functions"] = Json::array({request["tools"][0]["function"], request["tools"][1]["function"]});
  request["function_call"] = {{"name", "add"}};
  for (const char* newer : {"tools", "tool_choice", "parallel_tool_calls"}) request.erase(newer);
  const Json whole = Shared().Post("/v1/chat/completions", request).json()["choices"][0];
  EXPECT_EQ(whole["finish_reason"], "function_call") << whole;
  const Json message = whole["message"];
  EXPECT_TRUE(message["content"].is_null() && !message.contains("tool_calls")) << message;
  EXPECT_EQ(message["function_call"]["name"], "add");
  ExpectCall("add", message["function_call"]["arguments"]);

  request["stream"] = true;
  std::string name, arguments, finish;
  for (const std::string& event : Shared().Post("/v1/chat/completions", request).events()) {
    const Json chunk = Json::parse(event, nullptr, false);
    if (!chunk.is_object()) continue;
    if (chunk["choices"][0]["finish_reason"].is_string()) finish = chunk["choices"][0]["finish_reason"];
    const Json& delta = chunk["choices"][0]["delta"];
    EXPECT_FALSE(delta.contains("tool_calls"));
    if (!delta.contains("function_call")) continue;
    if (delta["function_call"].contains("name")) name += delta["function_call"]["name"].get<std::string>();
    arguments += delta["function_call"]["arguments"].get<std::string>();
  }
  EXPECT_EQ(finish, "function_call");
  EXPECT_EQ(name, "add");
  EXPECT_EQ(arguments, message["function_call"]["arguments"]);

  request["stream"] = false;
  request["max_tokens"] = 4;
  request["function_call"] = "none";
  EXPECT_EQ(Shared().Post("/v1/chat/completions", request).json()["choices"][0]["finish_reason"], "length");

  ServerOptions options;
  options.service.chat_template =
      "{% for m in messages %}{{ m.role }}:{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.id }} {{ "
      "c.function.name }} "
      "{{ c.function.arguments.a }}]{% endfor %}{{ m.tool_call_id }}\n{% endfor %}";
  const TestServer fixture = StartServer(options);
  const Json messages = {
      {{"role", "user"}, {"content", "x"}},
      {{"role", "assistant"}, {"content", nullptr}, {"function_call", {{"name", "add"}, {"arguments", "{\"a\": 3}"}}}},
      {{"role", "function"}, {"name", "add"}, {"content", "7"}}};
  EXPECT_EQ(Shared().Post("/v1/chat/completions", {{"messages", messages}, {"max_tokens", 1}}).status,
            200);  // its template wants text in each
  EXPECT_EQ(Shared().Post("/tokenize", {{"messages", messages}}).status, 200);
  EXPECT_EQ(Shared().Post("/apply-template", {{"messages", messages}}).status, 200);
  const Json rendered = fixture.Post("/apply-template", {{"messages", messages}}).json();
  EXPECT_THAT(rendered["prompt"].get<std::string>(), ::testing::HasSubstr("[fcall0001 add 3]\ntool:7fcall0001\n"))
      << rendered;
}

TEST(Server, ReasoningTokensAreCounted) {
  constexpr int kBudget = 7;
  ServerOptions options;
  options.service.chat_template = kThinkingTemplate;
  options.service.reasoning_parser = "think";
  const TestServer fixture = StartServer(options);
  Json request = Chat(60);
  request["thinking_token_budget"] = kBudget;
  request["logprobs"] = true;
  const Json reply = fixture.Post("/v1/chat/completions", request).json();
  EXPECT_EQ(reply["usage"]["completion_tokens_details"]["reasoning_tokens"], kBudget) << reply;
  // What the tokens themselves say: those before the end marker.
  std::string text;
  int before = 0;
  for (const Json& token : reply["choices"][0]["logprobs"]["content"]) {
    text += token["token"].get<std::string>();
    before += text.find("<") == std::string::npos;
  }
  EXPECT_THAT(text, ::testing::HasSubstr("</think>"));
  EXPECT_EQ(before, kBudget) << text;

  request["n"] = 2;
  request["stream"] = true;
  request["stream_options"] = {{"include_usage", true}};
  const std::vector<std::string> events = fixture.Post("/v1/chat/completions", request).events();
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(Json::parse(events[events.size() - 2])["usage"]["completion_tokens_details"]["reasoning_tokens"],
            2 * kBudget);
  const Json response =
      fixture
          .Post("/v1/responses",
                {{"input", "a"}, {"max_output_tokens", 60}, {"temperature", 0}, {"thinking_token_budget", kBudget}})
          .json();
  EXPECT_EQ(response["usage"]["output_tokens_details"]["reasoning_tokens"], kBudget) << response;
  request = Chat(20);
  request["chat_template_kwargs"] = {{"enable_thinking", false}};
  EXPECT_EQ(
      fixture.Post("/v1/chat/completions", request).json()["usage"]["completion_tokens_details"]["reasoning_tokens"],
      0);
}

// Tokens that hold parts of markers, several at once, and half a character.
TEST(ChoiceParser, CountsTheTokensInsideTheReasoning) {
  OutputFormat format;
  format.reasoning = *FindReasoningFormat("think");
  ChoiceParser parser(format, {});
  // "<think>" | "a" | "" | "bé c" | "d</" | "think>" | "x"
  parser.Push("<think>a", false);
  parser.Push("b\u00e9 cd</think>x", true);
  const std::vector<int64_t> ends = {7, 8, 8, 13, 16, 22, 23};
  EXPECT_EQ(parser.CountReasoning(ends), 4);
  EXPECT_EQ(parser.CountReasoning({}), 0);
}

}  // namespace
}  // namespace millrace
