// /v1/responses against a server in this process, the output items by themselves, and the store's bounds.
#include <gtest/gtest.h>

#include "server/response_items.h"
#include "server/response_store.h"
#include "server/test_server.h"

namespace millrace {
namespace {

Json Ask(const Json& more = Json::object()) {
  Json request = {{"model", "tiny"}, {"input", "hello"}, {"max_output_tokens", 12}, {"temperature", 0}};
  request.update(more);
  return request;
}

std::string TextOf(const Json& response) {
  return response["output"][0]["content"][0]["text"];
}

TEST(Responses, SaysWhatTheChatSays) {
  const Json chat =
      Shared()
          .Post("/v1/chat/completions", {{"messages", Json::array({{{"role", "system"}, {"content", "be kind"}},
                                                                   {{"role", "user"}, {"content", "hello"}}})},
                                         {"max_tokens", 12},
                                         {"temperature", 0}})
          .json();
  const TestReply reply = Shared().Post(
      "/v1/responses",
      Ask({{"instructions", "be kind"}, {"include", {"message.output_text.logprobs"}}, {"top_logprobs", 2}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json response = reply.json();
  EXPECT_EQ(TextOf(response), chat["choices"][0]["message"]["content"].get<std::string>());
  EXPECT_EQ(response["output"][0]["content"][0]["logprobs"].size(), response["usage"]["output_tokens"].get<size_t>());
  EXPECT_EQ(response["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
  const bool cut = chat["choices"][0]["finish_reason"] == "length";
  EXPECT_EQ(response["status"], cut ? "incomplete" : "completed");
  EXPECT_EQ(response["incomplete_details"].is_null(), !cut);
}

TEST(Responses, StreamedEventsAddUpToTheResponse) {
  const Json whole = Shared().Post("/v1/responses", Ask({{"store", false}})).json();
  const TestReply streamed = Shared().Post("/v1/responses", Ask({{"stream", true}}));
  ASSERT_EQ(streamed.status, 200) << streamed.body;
  std::string text, order;
  int64_t number = 0;
  Json last;
  for (const std::string& data : streamed.events()) {
    last = Json::parse(data);
    const std::string type = last["type"];
    EXPECT_EQ(last["sequence_number"], number++);
    if (type == "response.output_text.delta") text += last["delta"].get<std::string>();
    if (type != "response.output_text.delta" || !order.ends_with(type + " ")) order += type + " ";
  }
  EXPECT_EQ(order,
            "response.created response.in_progress response.output_item.added response.content_part.added "
            "response.output_text.delta "
            "response.output_text.done response.content_part.done response.output_item.done response." +
                whole["status"].get<std::string>() + " ");
  EXPECT_EQ(text, TextOf(whole));
  EXPECT_EQ(TextOf(last["response"]), text);
  EXPECT_EQ(last["response"]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

TEST(Responses, AreStoredAndContinued) {
  const Json first = Shared().Post("/v1/responses", Ask()).json();
  const std::string path = "/v1/responses/" + first["id"].get<std::string>();
  EXPECT_EQ(Shared().Call("GET", path).json(), first);
  EXPECT_EQ(Shared().Call("GET", path + "/input_items").json()["data"][0]["content"][0]["text"], "hello");
  // A continued response is what the whole conversation in one request gives.
  const Json second =
      Shared().Post("/v1/responses", Ask({{"input", "more"}, {"previous_response_id", first["id"]}})).json();
  const Json items = Json::array(
      {{{"role", "user"}, {"content", "hello"}}, first["output"][0], {{"role", "user"}, {"content", "more"}}});
  const Json at_once = Shared().Post("/v1/responses", Ask({{"input", items}})).json();
  EXPECT_EQ(TextOf(second), TextOf(at_once));
  EXPECT_EQ(second["usage"]["input_tokens"], at_once["usage"]["input_tokens"]);
  EXPECT_EQ(first["completed_at"].is_null(), first["status"] != "completed");
  EXPECT_EQ(Shared().Call("GET", path + "?stream=true").status, 400);
  // The items in pages, newest first.
  const std::string listed = "/v1/responses/" + at_once["id"].get<std::string>() + "/input_items";
  const Json all = Shared().Call("GET", listed).json();
  ASSERT_EQ(all["data"].size(), 3u);
  EXPECT_EQ(all["data"][0]["content"][0]["text"], "more");
  const Json one = Shared().Call("GET", listed + "?limit=1&order=asc").json();
  EXPECT_EQ(one["data"], Json::array({all["data"][2]}));
  EXPECT_EQ(one["has_more"], true);
  const Json rest = Shared().Call("GET", listed + "?order=asc&after=" + one["last_id"].get<std::string>()).json();
  EXPECT_EQ(rest["data"], Json::array({all["data"][1], all["data"][0]}));
  EXPECT_EQ(rest["has_more"], false);
  for (const char* bad : {"?limit=0", "?limit=x", "?order=up", "?after=none"})
    EXPECT_EQ(Shared().Call("GET", listed + bad).status, 400) << bad;
  EXPECT_EQ(Shared().Call("DELETE", path).json()["deleted"], true);
  EXPECT_EQ(Shared().Call("GET", path).status, 404);
  const TestReply gone = Shared().Post("/v1/responses", Ask({{"previous_response_id", first["id"]}}));
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.json()["error"]["param"], "previous_response_id");
}

TEST(Responses, CallsOfTheConversationAndErrors) {
  const Json calls = Json::parse(R"([{"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
      {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
      {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{\"city\": \"Rome\"}"},
      {"type": "function_call_output", "call_id": "c1", "output": "sunny"}])");
  const Json tools = Json::parse(R"([{"type": "function", "name": "weather", "parameters": {"type": "object"}}])");
  const TestReply reply = Shared().Post("/v1/responses", Ask({{"input", calls}, {"tools", tools}}));
  EXPECT_EQ(reply.status, 200) << reply.body;
  const std::pair<Json, std::string> cases[] = {
      {{{"input", Json::array()}}, "input"},
      {{{"input", Json::array({{{"type", "item_reference"}, {"id", "x"}}})}}, "input"},
      {{{"input", Json::array({{{"role", "user"}, {"content", Json::array({{{"type", "input_image"}}})}}})}}, "input"},
      {{{"tools", Json::array({{{"type", "web_search"}}})}}, "tools"},
      {{{"text", {{"format", {{"type", "xml"}}}}}}, "text"},
      {{{"background", true}}, "background"},
      {{{"truncation", "auto"}}, "truncation"},
      {{{"conversation", "c"}}, "conversation"},
      {{{"top_logprobs", 2}}, "top_logprobs"},
  };
  for (const auto& [more, param] : cases) {
    const TestReply refused = Shared().Post("/v1/responses", Ask(more));
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_EQ(refused.json()["error"]["param"], param) << refused.body;
  }
  EXPECT_EQ(
      Shared()
          .Post("/v1/responses", Ask({{"background", false}, {"truncation", "disabled"}, {"max_output_tokens", 1}}))
          .status,
      200);
}

TEST(ResponseItems, ReasoningTextAndCallsBecomeItems) {
  using Kind = OutputDelta::Kind;
  ResponseItems items("1");
  items.Add({.kind = Kind::kReasoning, .text = "hm"}, "", Json::array());
  items.Add({.text = "I "}, "", Json::array());
  items.Add({.text = "look"}, "", Json::array());
  for (int i = 0; i < 2; ++i) {
    items.Add({.kind = Kind::kCallStart, .index = i, .name = "f"}, "call" + std::to_string(i), Json::array());
    items.Add({.kind = Kind::kCallArguments, .text = "{}", .index = i}, "", Json::array());
  }
  items.Finish("completed");
  ASSERT_EQ(items.items().size(), 4u);
  EXPECT_EQ(items.items()[0]["content"][0]["text"], "hm");
  EXPECT_EQ(items.items()[1]["content"][0]["text"], "I look");
  EXPECT_EQ(items.items()[3]["call_id"], "call1");
  EXPECT_EQ(items.items()[3]["arguments"], "{}");
  Json last;
  for (Json& event : items.TakeEvents()) {
    if (event["type"] == "response.function_call_arguments.done") last = event;
    EXPECT_LT(event["output_index"], 4);
  }
  EXPECT_EQ(last["item_id"], items.items()[3]["id"]);
}

TEST(ResponseStore, IsBoundedInNumberBytesAndAge) {
  ResponseStore store({.max_bytes = 4000, .max_responses = 3, .ttl_us = 1000});
  const auto put = [&](const std::string& tenant, const std::string& id, size_t size, int64_t now) {
    store.Put(tenant, id, {.response = std::string(size, 'x')}, now);
  };
  for (int i = 0; i < 5; ++i) put("a", std::to_string(i), 10, 0);
  EXPECT_EQ(store.Find("a", "1", 0), nullptr);
  EXPECT_NE(store.Find("a", "2", 0), nullptr);
  EXPECT_EQ(store.Find("b", "2", 0), nullptr);
  put("a", "large", 980, 0);
  EXPECT_EQ(store.Find("a", "4", 0), nullptr);
  EXPECT_NE(store.Find("a", "large", 0), nullptr);
  put("a", "too large", 5000, 0);
  EXPECT_EQ(store.Find("a", "too large", 0), nullptr);
  put("a", "large", 10, 500);  // replaced: the age of the first no longer counts
  EXPECT_NE(store.Find("a", "large", 1200), nullptr);
  EXPECT_TRUE(store.Erase("a", "large", 1200));
  EXPECT_FALSE(store.Erase("a", "large", 1200));
  put("a", "old", 10, 2000);
  EXPECT_EQ(store.Find("a", "old", 3001), nullptr);
}

}  // namespace
}  // namespace millrace
