// /v1/messages against a server in this process: the same answer as a chat, streamed and whole, and every way to write
// a request.
#include <gtest/gtest.h>

#include "server/test_server.h"

namespace millrace {
namespace {

Json Ask(const Json& more = Json::object()) {
  Json request = {{"model", "tiny"},
                  {"max_tokens", 12},
                  {"temperature", 0},
                  {"messages", Json::array({{{"role", "user"}, {"content", "hello"}}})}};
  request.update(more);
  return request;
}

TEST(Messages, SaysWhatTheChatSays) {
  const Json chat =
      Shared()
          .Post("/v1/chat/completions", {{"messages", Json::array({{{"role", "system"}, {"content", "be kind"}},
                                                                   {{"role", "user"}, {"content", "hello"}}})},
                                         {"max_tokens", 12},
                                         {"temperature", 0}})
          .json();
  const std::string text = chat["choices"][0]["message"]["content"];
  const TestReply reply =
      Shared().Post("/v1/messages", Ask({{"system", Json::array({{{"type", "text"}, {"text", "be kind"}}})}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_NE(reply.head.find("request-id: "), std::string::npos);
  const Json message = reply.json();
  EXPECT_EQ(message["type"], "message");
  EXPECT_EQ(message["content"][0], Json({{"type", "text"}, {"text", text}}));
  EXPECT_EQ(message["stop_reason"], chat["choices"][0]["finish_reason"] == "length" ? "max_tokens" : "end_turn");
  const Json& usage = message["usage"];
  EXPECT_EQ(usage["input_tokens"].get<int>() + usage["cache_read_input_tokens"].get<int>(),
            chat["usage"]["prompt_tokens"]);
  EXPECT_EQ(usage["output_tokens"], chat["usage"]["completion_tokens"]);
  const Json count = Shared()
                         .Post("/v1/messages/count_tokens",
                               {{"model", "tiny"}, {"system", "be kind"}, {"messages", Ask()["messages"]}})
                         .json();
  EXPECT_EQ(count["input_tokens"], chat["usage"]["prompt_tokens"]);
}

TEST(Messages, StreamsInTheOrderOfTheProtocol) {
  const Json whole = Shared().Post("/v1/messages", Ask()).json();
  const TestReply streamed = Shared().Post("/v1/messages", Ask({{"stream", true}}));
  ASSERT_EQ(streamed.status, 200) << streamed.body;
  std::string text, order;
  Json last_delta;
  for (const std::string& data : streamed.events()) {
    const Json event = Json::parse(data);
    const std::string type = event["type"];
    EXPECT_NE(streamed.body.find("event: " + type + "\ndata: "), std::string::npos);
    if (type != "content_block_delta" || !order.ends_with("content_block_delta ")) order += type + " ";
    if (type == "message_start") {
      EXPECT_EQ(event["message"]["content"], Json::array());
    }
    if (type == "content_block_delta") text += event["delta"]["text"].get<std::string>();
    if (type == "message_delta") last_delta = event;
  }
  EXPECT_EQ(
      order,
      "message_start ping content_block_start content_block_delta content_block_stop message_delta message_stop ");
  EXPECT_EQ(text, whole["content"][0]["text"]);
  EXPECT_EQ(last_delta["delta"]["stop_reason"], whole["stop_reason"]);
  EXPECT_EQ(last_delta["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

TEST(Messages, ToolConversationsAndPrefills) {
  const Json turns = Json::parse(R"([
      {"role": "user", "content": "weather?"},
      {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "let me see"},
                                        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}]},
                                   {"type": "text", "text": "so?"}]}])");
  const Json tools = Json::parse(
      R"([{"name": "weather", "description": "of a city", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}])");
  const TestReply reply =
      Shared().Post("/v1/messages", Ask({{"messages", turns}, {"tools", tools}, {"tool_choice", {{"type", "auto"}}}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  // An answer that the client begins is part of the prompt, and not repeated.
  const auto prompt_tokens = [](const Json& request) {
    const Json usage = Shared().Post("/v1/messages", request).json()["usage"];
    return usage["input_tokens"].get<int>() + usage["cache_read_input_tokens"].get<int>();
  };
  Json begun = Ask({{"max_tokens", 3}});
  const int before = prompt_tokens(begun);
  begun["messages"].push_back({{"role", "assistant"}, {"content", "The answer"}});
  EXPECT_GT(prompt_tokens(begun), before);
  const Json rendered =
      Shared().Post("/apply-template", {{"messages", begun["messages"]}, {"continue_final_message", true}}).json();
  EXPECT_TRUE(rendered["prompt"].get<std::string>().ends_with("The answer")) << rendered.dump();
  EXPECT_EQ(
      Shared().Post("/apply-template", {{"messages", Ask()["messages"]}, {"continue_final_message", true}}).status,
      400);
}

TEST(Messages, StopSequencesAndFormats) {
  const std::string text = Shared().Post("/v1/messages", Ask()).json()["content"][0]["text"];
  size_t begin = 2;
  while ((text[begin] & 0xC0) == 0x80) ++begin;
  const std::string stop = text.substr(begin, 1);
  if ((static_cast<unsigned char>(stop[0]) & 0x80) == 0) {
    const Json stopped = Shared().Post("/v1/messages", Ask({{"stop_sequences", {stop}}})).json();
    EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
    EXPECT_EQ(stopped["stop_sequence"], stop);
  }
  const Json format = {{"type", "json_schema"}, {"schema", {{"type", "integer"}, {"minimum", 10}, {"maximum", 99}}}};
  const Json number = Shared().Post("/v1/messages", Ask({{"output_config", {{"format", format}}}})).json();
  const Json value = Json::parse(number["content"][0]["text"].get<std::string>(), nullptr, false);
  EXPECT_TRUE(value.is_number_integer()) << number.dump();
}

TEST(Messages, ErrorsHaveAnthropicsShape) {
  const std::pair<Json, std::string> cases[] = {
      {{{"model", "tiny"}, {"messages", Ask()["messages"]}}, "max_tokens"},
      {Ask({{"messages", Json::array({{{"role", "tool"}, {"content", "x"}}})}}), "messages[0].role"},
      {Ask({{"messages", Json::array({{{"role", "user"}, {"content", Json::array({{{"type", "image"}}})}}})}}),
       "messages[0].content"},
      {Ask({{"tools", Json::array({{{"type", "web_search_20250305"}, {"name", "web_search"}}})}}), "tools[0]"},
      {Ask({{"tool_choice", {{"type", "most"}}}}), "tool_choice.type"},
      {Ask({{"thinking", {{"type", "maybe"}}}}), "thinking.type"},
      {Ask({{"output_config", {{"format", {{"type", "xml"}}}}}}), "output_config.format"},
      {Ask({{"mcp_servers", Json::array()}}), "mcp_servers"},
      {Ask({{"top_k", "many"}}), "top_k"},
  };
  for (const auto& [request, start] : cases) {
    const TestReply reply = Shared().Post("/v1/messages", request);
    EXPECT_EQ(reply.status, 400) << reply.body;
    const Json error = reply.json();
    EXPECT_EQ(error["type"], "error");
    EXPECT_EQ(error["error"]["type"], "invalid_request_error");
    EXPECT_TRUE(error["error"]["message"].get<std::string>().starts_with(start)) << reply.body;
  }
  EXPECT_EQ(Shared().Post("/v1/messages", Ask({{"model", "other"}})).json()["error"]["type"], "not_found_error");
  EXPECT_EQ(Shared().Call("GET", "/v1/messages").json()["type"], "error");
  const TestReply warned = Shared().Post("/v1/messages", Ask({{"metadata", {{"user_id", "me"}}}}));
  EXPECT_NE(warned.head.find("X-Millrace-Warnings: field metadata has no effect"), std::string::npos);
}

}  // namespace
}  // namespace millrace
