// Bodies that are almost right: whatever stands in the place of a value, the reply is no server error, and the server
// goes on.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "server/fields.h"
#include "server/test_server.h"

namespace millrace {
namespace {

const Json kValues[] = {nullptr,        true,         2, -1, 1e300, "x", Json::array(), Json::array({5}),
                        Json::object(), {{"type", 5}}};

struct Body {
  Endpoint endpoint;
  const char* path;
  const char* text;
};

// One for each endpoint, with every kind of nested value that it reads.
constexpr Body kBodies[] = {
    {kChat, "/v1/chat/completions",
     R"({"max_tokens": 2, "stream_options": {"include_usage": true}, "logit_bias": {"5": 1}, "stop": ["a"],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "c", "content": "b"}],
        "tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object", "properties": {"a": {"type": "null"}}}}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}})"},
    {kChat, "/v1/chat/completions",
     R"({"max_tokens": 2, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "function_call": {"name": "f",
        "arguments": "{}"}}, {"role": "function", "name": "f", "content": "b"}], "functions": [{"name": "f", "parameters": {"type": "object"}}],
        "function_call": {"name": "f"}, "chat_template_kwargs": {"a": 1}})"},
    {kCompletions, "/v1/completions",
     R"({"prompt": ["a", [5, 6]], "max_tokens": 2, "echo": true, "logprobs": 1, "bad_words": ["a"], "response_format": {
        "type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}}}})"},
    {kCompletions, "/v1/completions",
     R"({"prompt": "a", "max_tokens": 2, "structured_outputs": {"structural_tag": {"triggers": ["<"], "structures": [
        {"begin": "<a>", "schema": {"type": "null"}, "end": "</a>"}]}}})"},
    {kResponses, "/v1/responses",
     R"({"max_output_tokens": 2, "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "b"}]}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "d"}]}], "reasoning": {"effort": "low"}, "include": [],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "tool_choice": {"type": "function", "name": "f"}, "metadata": {"a": "b"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "null"}}}})"},
    {kMessages, "/v1/messages",
     R"({"max_tokens": 2, "system": [{"type": "text", "text": "a"}], "messages": [{"role": "user", "content": [{"type": "text",
        "text": "a"}, {"type": "document", "source": {"type": "text", "data": "b"}}]}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "c"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
        "content": [{"type": "text", "text": "d"}]}]}], "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 9}, "output_config": {"format": {"type": "json_schema", "schema": {"type": "null"}}, "effort": "low"}})"},
    {kCountTokens, "/v1/messages/count_tokens", R"({"messages": [{"role": "user", "content": "a"}]})"},
    {kEmbeddings, "/v1/embeddings", R"({"input": ["a", [5, 6]], "dimensions": 4, "encoding_format": "base64"})"},
    {kTokenize, "/tokenize", R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]})"},
    {kDetokenize, "/detokenize", R"({"tokens": [5]})"},
    {kApplyTemplate, "/apply-template",
     R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "documents": [{"a": "b"}]})"},
};

class Sender {
 public:
  void Send(const Body& to, const Json& body) {
    const TestReply reply = connection_.Call("POST", to.path, DumpJson(body));
    ASSERT_TRUE(reply.status >= 200 && reply.status < 500) << to.path << ' ' << DumpJson(body) << "\n"
                                                           << reply.status << reply.body;
    ++num_sent_;
  }
  int num_sent() const { return num_sent_; }

 private:
  TestConnection connection_{Shared().port()};
  int num_sent_ = 0;
};

TEST(Bodies, AnyValueInAnyPlace) {
  Sender sender;
  for (const Body& body : kBodies) {
    const Json whole = Json::parse(body.text);
    sender.Send(body, whole);
    std::set<std::string> done;
    const Json flat = whole.flatten();
    for (const auto& [place, old] : flat.items()) {
      // The value itself and all that holds it, once.
      for (Json::json_pointer at(place); !at.empty(); at.pop_back()) {
        if (!done.insert(at.to_string()).second) break;
        for (const Json& value : kValues) {
          Json changed = whole;
          changed[at] = value;
          ASSERT_NO_FATAL_FAILURE(sender.Send(body, changed));
        }
      }
    }
  }
  EXPECT_GT(sender.num_sent(), 1000);
}

TEST(Bodies, AnyFieldAtAnyEndpoint) {
  Sender sender;
  for (const Body& body : kBodies) {
    for (const FieldSpec& spec : FieldTable()) {
      for (const Json& value : {Json(2), Json("x")}) {
        Json changed = Json::parse(body.text);
        changed[spec.name] = value;
        ASSERT_NO_FATAL_FAILURE(sender.Send(body, changed));
      }
    }
  }
  EXPECT_GT(sender.num_sent(), 2000);
}

}  // namespace
}  // namespace millrace
