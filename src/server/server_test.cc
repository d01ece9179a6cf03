// The server in this process, on an ephemeral port, with a tiny model: replies, errors, connections.

#include <gtest/gtest.h>

#include "server/test_server.h"
#include "server/url.h"

namespace millrace {
namespace {

TEST(Server, ChatIsTheSameStreamedAndWhole) {
  const TestReply whole = Shared().Post("/v1/chat/completions", Chat(20));
  ASSERT_EQ(whole.status, 200) << whole.body;
  const Json reply = whole.json();
  EXPECT_EQ(reply["object"], "chat.completion");
  EXPECT_EQ(reply["usage"]["completion_tokens"], 20);
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "length");

  Json request = Chat(20, true);
  request["stream_options"] = {{"include_usage", true}};
  const TestReply streamed = Shared().Post("/v1/chat/completions", request);
  ASSERT_EQ(streamed.status, 200);
  EXPECT_NE(streamed.head.find("text/event-stream"), std::string::npos);
  const std::vector<std::string> events = streamed.events();
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(Json::parse(events[events.size() - 2])["usage"]["completion_tokens"], 20);
  EXPECT_EQ(Json::parse(events[events.size() - 3])["choices"][0]["finish_reason"], "length");
  std::string text;
  for (size_t i = 0; i + 2 < events.size(); ++i) {
    const Json delta = Json::parse(events[i])["choices"][0]["delta"];
    EXPECT_EQ(delta.contains("role"), i == 0);
    if (delta.contains("content")) text += delta["content"].get<std::string>();
  }
  EXPECT_EQ(text, reply["choices"][0]["message"]["content"].get<std::string>());
}

TEST(Server, CompletionsEchoLogprobsAndSeveralPrompts) {
  const Json request = {
      {"model", "tiny"}, {"prompt", {"one two", "three"}}, {"n", 2}, {"max_tokens", 5}, {"seed", 3}, {"echo", true},
      {"logprobs", 2}};
  const Json reply = Shared().Post("/v1/completions", request).json();
  ASSERT_EQ(reply["choices"].size(), 4u) << reply.dump();
  for (int i = 0; i < 4; ++i) {
    const Json& choice = reply["choices"][static_cast<size_t>(i)];
    EXPECT_EQ(choice["index"], i);
    EXPECT_TRUE(choice["text"].get<std::string>().starts_with(i < 2 ? "one two" : "three"));
    const Json& logprobs = choice["logprobs"];
    EXPECT_EQ(logprobs["tokens"].size(), logprobs["token_logprobs"].size());
    EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
    EXPECT_LT(logprobs["token_logprobs"][1].get<double>(), 0.0);
    EXPECT_LE(logprobs["top_logprobs"].back().size(), 2u);
  }
  EXPECT_EQ(reply["usage"]["completion_tokens"], 20);
  // The same seed gives the same answer, whatever else was in the batch.
  Json alone = request;
  alone["prompt"] = "three";
  EXPECT_EQ(Shared().Post("/v1/completions", alone).json()["choices"][1]["text"], reply["choices"][3]["text"]);
  // Only the prompt, scored.
  alone["max_tokens"] = 0;
  const Json scored = Shared().Post("/v1/completions", alone).json();
  EXPECT_EQ(scored["choices"][0]["text"], "three");
  EXPECT_EQ(scored["usage"]["completion_tokens"], 0);
}

TEST(Server, StopStringsBestOfAndTokenIds) {
  const Json base = {{"prompt", {1, 2, 3}}, {"max_tokens", 12}, {"temperature", 0}, {"ignore_eos", true}};
  const std::string text = Shared().Post("/v1/completions", base).json()["choices"][0]["text"];
  ASSERT_GT(text.size(), 6u);
  size_t begin = 3;
  while ((text[begin] & 0xC0) == 0x80) ++begin;
  size_t end = begin + 1;
  while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
  Json stopped = base;
  stopped["stop"] = text.substr(begin, end - begin);
  const Json reply = Shared().Post("/v1/completions", stopped).json();
  EXPECT_EQ(reply["choices"][0]["text"], text.substr(0, text.find(text.substr(begin, end - begin))));
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
  Json best = base;
  best["temperature"] = 1;
  best["best_of"] = 4;
  const Json chosen = Shared().Post("/v1/completions", best).json();
  EXPECT_EQ(chosen["choices"].size(), 1u) << chosen.dump();
  EXPECT_EQ(chosen["usage"]["completion_tokens"], 12);
}

// `n` is no field of these: one answer is made, whatever it says.
TEST(Server, FieldsOfOtherEndpointsHaveNoEffect) {
  Json request = Chat(3);
  request["input"] = "hello";
  for (const Json& n : {Json(2), Json(-1), Json("two")}) {
    request["n"] = n;
    for (const char* path : {"/v1/responses", "/v1/messages", "/v1/embeddings"}) {
      const TestReply reply = Shared().Post(path, request);
      EXPECT_EQ(reply.status, 200) << path << reply.body;
      EXPECT_NE(reply.head.find("unknown field n"), std::string::npos) << reply.head;
    }
  }
}

TEST(Server, ErrorsNameTheField) {
  struct Case {
    const char* path;
    const char* body;
    int status;
    const char* param;
  };
  const Case cases[] = {
      {"/v1/chat/completions", "{}", 400, "messages"},
      {"/v1/chat/completions", "[]", 400, ""},
      {"/v1/chat/completions", "not json", 400, ""},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"n":129})", 400, "n"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", 400, "messages"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"response_format":{"type":"xml"}})", 400,
       "response_format"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"$dynamicRef":"#a"}}}})",
       400, "response_format"},
      {"/v1/completions", R"({"prompt":"a","guided_regex":"("})", 400, "guided_regex"},
      {"/v1/completions", R"({"prompt":"a","structured_outputs":{"whitespace_pattern":" "}})", 400,
       "structured_outputs"},
      {"/v1/completions",
       R"({"prompt":"a","response_format":{"type":"structural_tag","triggers":["<"],"structures":[{"begin":"a","schema":{},"end":""}]}})",
       400, "response_format"},
      {"/v1/completions", R"({"prompt":"a","response_format":{"type":"structural_tag","format":{}}})", 400,
       "response_format"},
      {"/v1/completions", R"({"prompt":"a","guided_regex":"a","guided_choice":["b"]})", 400, "guided_choice"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"tool_choice":"required"})", 400,
       "tool_choice"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}}})",
       400, "tool_choice"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","$dynamicRef":"#a"}}}],"tool_choice":"required"})",
       400, "tools"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"function_call":"auto"})", 400,
       "function_call"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"functions":[{"name":"f"}],"tools":[{"type":"function","function":{"name":"f"}}]})",
       400, "functions"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"functions":[{"name":"f"}],"function_call":{"name":"g"}})", 400,
       "function_call"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"functions":[{"parameters":{}}]})", 400,
       "functions"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"thinking_token_budget":5})", 400,
       "thinking_token_budget"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"model":"other"})", 404, "model"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"top_logprobs":2})", 400, "top_logprobs"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":[{"type":5}]}]})", 400, "messages"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"stream":true,"prompt_logprobs":1})", 400,
       "prompt_logprobs"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"min_tokens":9,"max_tokens":8})", 400,
       "min_tokens"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"tools":[{"type":"custom","custom":{"name":"f"}}]})", 400,
       "tools"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","mode":5,"tools":[]}})",
       400, "tool_choice"},
      {"/v1/completions", R"({"prompt":"a","stream":true,"prompt_logprobs":0})", 400, "prompt_logprobs"},
      {"/v1/completions", R"({"prompt":"a","guided_regex":5})", 400, "guided_regex"},
      {"/v1/completions", R"({"prompt":"a","structured_outputs":{"grammar":[]}})", 400, "structured_outputs"},
      {"/v1/responses", R"({"input":[{"role":"user","content":[{"type":null,"text":"a"}]}]})", 400, "input"},
      {"/v1/responses", R"({"input":"a","include":["x"]})", 400, "include"},
      {"/v1/responses", R"({"input":"a","reasoning":{"effort":5}})", 400, "reasoning"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"messages":1}})",
       400, "chat_template_kwargs"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],"use_beam_search":true,"n":100})", 400,
       "n"},
      {"/v1/completions", R"({"prompt":[99999999]})", 400, "prompt"},
      {"/v1/completions", R"({"prompt":[-1]})", 400, "prompt"},
      {"/v1/completions", R"({"prompt":[1e30]})", 400, "prompt"},
      {"/v1/completions", R"({"prompt":[[1],"a",{}]})", 400, "prompt"},
      {"/v1/completions", R"({"prompt":[]})", 400, "prompt"},
      {"/v1/completions", R"({"prompt":[[]]})", 400, "prompt"},
      {"/v1/completions", R"({"prompt":"a","max_tokens":0})", 400, "max_tokens"},
      {"/v1/completions", R"({"prompt":"a","suffix":"b"})", 400, "suffix"},
      {"/v1/completions", R"({"prompt":"a","logit_bias":{"x":1}})", 400, "logit_bias"},
      {"/v1/completions", R"({"prompt":"a","logit_bias":{"1":1000}})", 400, "logit_bias"},
      {"/v1/completions", R"({"prompt":"a","stop_token_ids":[99999999]})", 400, "stop_token_ids"},
      {"/detokenize", R"({"tokens":[-1]})", 400, "tokens"},
      {"/nowhere", "{}", 404, ""},
      {"/health", "{}", 405, ""},
  };
  for (const Case& c : cases) {
    const TestReply reply = Shared().Call("POST", c.path, c.body);
    EXPECT_EQ(reply.status, c.status) << c.path << " " << c.body << "\n" << reply.body;
    const Json error = reply.json()["error"];
    EXPECT_FALSE(error["message"].get<std::string>().empty());
    EXPECT_EQ(error["code"] == "model_not_found", c.param == std::string("model")) << reply.body;
    EXPECT_EQ(error["param"].is_null() ? "" : error["param"].get<std::string>(), c.param) << c.body << "\n"
                                                                                          << reply.body;
  }
}

TEST(Server, MessagesAreInItsOwnWords) {
  const Json malformed = Shared().Call("POST", "/v1/completions", "{").json();
  EXPECT_EQ(malformed["error"]["message"].get<std::string>().find("json.exception"), std::string::npos);
  const TestReply warned = Shared().Call("POST", "/v1/completions", R"({"prompt":"a","max_tokens":1,"colour":1})");
  EXPECT_EQ(warned.status, 200);
  EXPECT_NE(warned.head.find("X-Millrace-Warnings: unknown field colour"), std::string::npos);
}

TEST(Server, APromptThatIsTooLongNamesItsField) {
  std::string words;
  for (int i = 0; i < 4000; ++i) words += " one";
  const Json messages = Json::array({{{"role", "user"}, {"content", words}}});
  const std::tuple<const char*, Json, const char*> cases[] = {
      {"/v1/chat/completions", {{"messages", messages}}, "messages"},
      {"/v1/completions", {{"prompt", words}}, "prompt"},
      {"/v1/completions", {{"prompt", std::vector<int>(4000, 1)}}, "prompt"},
      {"/v1/completions", {{"prompt", std::string(3 << 20, 'a')}}, "prompt"},
      {"/v1/responses", {{"input", words}}, "input"},
      {"/v1/embeddings", {{"input", {"a", words}}}, "input"},
  };
  for (const auto& [path, request, param] : cases) {
    const TestReply reply = Shared().Post(path, request);
    EXPECT_EQ(reply.status, 400);
    const Json error = reply.json()["error"];
    EXPECT_EQ(error["code"], "context_length_exceeded") << path;
    EXPECT_EQ(error["param"], param) << reply.body;
  }
  const Json error = Shared().Post("/v1/messages", {{"messages", messages}, {"max_tokens", 1}}).json()["error"];
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_TRUE(error["message"].get<std::string>().starts_with("prompt is too long: ")) << error;
}

TEST(Server, AMessageThatTheTemplateLeavesOutIsRefused) {
  ServerOptions options;
  options.service.chat_template =
      "{% for m in messages %}{% if m.role in ['user', 'narrator'] %}{{ m.content }}{% endif %}{% endfor %}";
  const TestServer fixture = StartServer(options);
  const auto post = [&](const char* role) {
    Json request = Chat(1);
    request["messages"].push_back({{"role", role}, {"content", "b"}});
    return fixture.Post("/v1/chat/completions", request);
  };
  EXPECT_EQ(post("narrator").status, 200);
  const TestReply refused = post("alien");
  EXPECT_EQ(refused.status, 400);
  EXPECT_TRUE(refused.json()["error"]["message"].get<std::string>().starts_with(
      "messages[1].role is \"alien\", expected system"))
      << refused.body;
}

TEST(Server, EncodedBodiesAndOtherMethodsAreRefusedByName) {
  const TestReply encoded = Shared().Call("POST", "/tokenize", "\x1f\x8b", "Content-Encoding: gzip\r\n");
  EXPECT_EQ(encoded.status, 415);
  EXPECT_NE(encoded.json()["error"]["message"].get<std::string>().find("gzip"), std::string::npos);
  EXPECT_EQ(Shared().Call("POST", "/tokenize", R"({"prompt":"a"})", "Content-Encoding: identity\r\n").status, 200);
  const TestReply stored = Shared().Call("POST", "/v1/responses/resp_1");
  EXPECT_EQ(stored.status, 405);
  EXPECT_NE(stored.head.find("Allow: GET, HEAD, DELETE\r\n"), std::string::npos) << stored.head;
}

TEST(Server, WhatATemplateRefusesNamesTheConversation) {
  ServerOptions options;
  options.service.chat_template =
      "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('roles must alternate') }}{% endif %}{{ "
      "m.content }}{% endfor %}";
  const TestServer fixture = StartServer(options);
  const Json messages =
      Json::array({{{"role", "user"}, {"content", "a"}}, {{"role", "tool"}, {"tool_call_id", "1"}, {"content", "b"}}});
  for (const char* path : {"/v1/chat/completions", "/tokenize", "/apply-template"}) {
    const Json error = fixture.Post(path, {{"messages", messages}}).json()["error"];
    EXPECT_EQ(error["param"], "messages") << error;
    EXPECT_NE(error["message"].get<std::string>().find("roles must alternate"), std::string::npos);
  }
  const Json output = {{"type", "function_call_output"}, {"call_id", "1"}, {"output", "b"}};
  const Json error =
      fixture.Post("/v1/responses", {{"input", Json::array({{{"role", "user"}, {"content", "a"}}, output})}})
          .json()["error"];
  EXPECT_EQ(error["param"], "input") << error;
}

TEST(Server, TokenIdsOfThePromptComeFirstInAStream) {
  const Json ids = Shared().Post("/tokenize", {{"prompt", "one two"}}).json()["tokens"];
  Json request = {
      {"prompt", "one two"}, {"max_tokens", 20}, {"return_token_ids", true}, {"ignore_eos", true}, {"seed", 1}};
  const Json whole = Shared().Post("/v1/completions", request).json();  // some of the tokens are no whole character
  request["stream"] = true;
  Json drawn = Json::array();
  for (const std::string& text : Shared().Post("/v1/completions", request).events()) {
    if (text == "[DONE]") continue;
    const Json choice = Json::parse(text)["choices"][0];
    EXPECT_EQ(choice.contains("prompt_token_ids"), drawn.empty());
    if (drawn.empty()) {
      EXPECT_EQ(choice["prompt_token_ids"], ids);
    }
    for (const Json& id : choice["token_ids"]) drawn.push_back(id);
  }
  EXPECT_EQ(drawn, whole["choices"][0]["token_ids"]);
  Json chat = Chat(3, true);
  chat["return_token_ids"] = true;
  const Json first = Json::parse(Shared().Post("/v1/chat/completions", chat).events().front());
  EXPECT_EQ(first["prompt_token_ids"], Shared().Post("/tokenize", {{"messages", chat["messages"]}}).json()["tokens"]);
}

TEST(Server, ModelsByNameForBothClients) {
  ServerOptions options;
  const TestServer fixture = StartServer(options, 8, "synth:tiny-llama:Q4_0", "org/a model");
  const Json model = fixture.Call("GET", "/v1/models/org%2Fa%20model").json();
  EXPECT_EQ(model["id"], "org/a model") << model;
  EXPECT_EQ(model["object"], "model");
  EXPECT_EQ(model["type"], "model");
  EXPECT_EQ(model["created_at"].get<std::string>().back(), 'Z');
  EXPECT_EQ(fixture.Call("GET", "/v1/models/org/a%20model").json(), model);
  const Json list = fixture.Call("GET", "/v1/models?limit=20").json();
  EXPECT_EQ(list["data"], Json::array({model}));
  EXPECT_EQ(list["has_more"], false);
  EXPECT_EQ(fixture.Call("GET", "/v1/models/other").status, 404);
}

// What the official clients send from a browser, and how a key may be spelt.
TEST(Server, PagesOfAllowedOriginsMaySendTheirHeaders) {
  ServerOptions options;
  options.access.api_keys = {"secret"};
  options.access.cors_origins = {"https://app.example"};
  const TestServer fixture = StartServer(options);
  EXPECT_EQ(fixture.Call("GET", "/v1/models", "", "authorization: bearer secret\r\n").status, 200);
  EXPECT_EQ(fixture.Call("GET", "/v1/models", "", "Authorization: Bearersecret\r\n").status, 401);
  const std::string asked = "anthropic-version,x-stainless-os";
  const TestReply preflight =
      fixture.Call("OPTIONS", "/v1/responses/resp_1", "",
                   "Origin: https://app.example\r\nAccess-Control-Request-Headers: " + asked + "\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_NE(preflight.head.find("Access-Control-Allow-Headers: " + asked), std::string::npos) << preflight.head;
  EXPECT_NE(preflight.head.find("DELETE"), std::string::npos);
}

TEST(Url, EscapesAndQueries) {
  EXPECT_EQ(PercentDecoded("a%20b%2Fc%zz%2"), "a b/c%zz%2");
  EXPECT_EQ(QueryValue("a=1&order=asc&b", "order"), "asc");
  EXPECT_EQ(QueryValue("after=in_1%5F0&after=x", "after"), "in_1_0");
  for (const char* query : {"", "orders=1", "b&c", "order"}) EXPECT_EQ(QueryValue(query, "order"), "") << query;
}

TEST(Server, InfoEndpoints) {
  for (const char* path : {"/health", "/ready", "/version", "/load", "/v1/models", "/v1/models/tiny"}) {
    const TestReply reply = Shared().Call("GET", path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_TRUE(reply.json().is_object()) << path;
  }
  EXPECT_EQ(Shared().Call("GET", "/v1/models/none").status, 404);
  const Json tokens = Shared().Post("/tokenize", {{"prompt", "hello"}, {"add_special_tokens", false}}).json();
  EXPECT_EQ(Shared().Post("/tokenize", {{"content", "hello"}, {"add_special_tokens", false}}).json()["tokens"],
            tokens["tokens"]);
  const Json text = Shared().Post("/detokenize", {{"tokens", tokens["tokens"]}}).json();
  EXPECT_TRUE(text["prompt"] == "hello" && text["content"] == "hello") << text;
  const Json rendered =
      Shared().Post("/apply-template", {{"messages", Json::array({{{"role", "user"}, {"content", "hey"}}})}}).json();
  EXPECT_NE(rendered["prompt"].get<std::string>().find("hey"), std::string::npos);
  const TestReply metrics = Shared().Call("GET", "/metrics");
  for (const char* name :
       {"vllm:time_to_first_token_seconds_bucket", "vllm:kv_cache_usage_perc", "vllm:generation_tokens_total",
        "millrace:batch_size_bucket", "vllm:iteration_tokens_total_sum", "millrace:achieved_bytes_per_second",
        "millrace:achieved_flops_per_second"}) {
    EXPECT_NE(metrics.body.find(name), std::string::npos) << name;
  }
  const TestReply orca = Shared().Call("GET", "/version", "", "endpoint-load-metrics-format: JSON\r\n");
  EXPECT_NE(orca.head.find("endpoint-load-metrics: JSON {\"named_metrics\""), std::string::npos);
}

TEST(Server, KeepAliveSplitPacketsAndPipelining) {
  TestConnection connection(Shared().port());
  EXPECT_EQ(connection.Call("GET", "/health").status, 200);
  const std::string request = TestConnection::RequestText("POST", "/tokenize", R"({"prompt":"hello"})");
  for (const char byte : request) ASSERT_TRUE(connection.Send(std::string(1, byte)));
  EXPECT_EQ(connection.ReadReply().status, 200);
  ASSERT_TRUE(connection.Send(request + request + request));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(connection.ReadReply().json()["count"], 4);
  ASSERT_TRUE(
      connection.Send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                      "chunked\r\n\r\n9\r\n{\"prompt\"\r\n9\r\n:\"hello\"}\r\n0\r\n\r\n"));
  EXPECT_EQ(connection.ReadReply().json()["count"], 4);
  ASSERT_TRUE(connection.Send("GET /health HTTP/1.0\r\n\r\n"));
  EXPECT_NE(connection.ReadReply().head.find("Connection: close"), std::string::npos);
  EXPECT_FALSE(connection.ReadSome());
}

TEST(Server, MalformedRequestsAreRefusedAndTheConnectionCloses) {
  const std::string huge(20'000, 'a');
  std::string many = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 200; ++i) many += fmt::format("X-{}: 1\r\n", i);
  const std::pair<std::string, int> cases[] = {
      {"\x16\x03\x01\x02\r\n\r\n", 400},
      {"GET /health HTTP/9.9\r\n\r\n", 400},
      {"GET  HTTP/1.1\r\n\r\n", 400},
      {"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400},
      {"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400},
      {"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413},
      {"GET /" + huge + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + huge + "\r\n\r\n", 431},
      {many + "\r\n", 431},
  };
  for (const auto& [bytes, status] : cases) {
    TestConnection connection(Shared().port(), 10);
    ASSERT_TRUE(connection.Send(bytes));
    EXPECT_EQ(connection.ReadReply().status, status) << bytes.substr(0, 100);
    EXPECT_FALSE(connection.ReadSome());
  }
  EXPECT_EQ(Shared().Call("GET", "/health").status, 200);
}

TEST(Server, DisconnectsFreeEverything) {
  for (int i = 0; i < 60; ++i) {
    TestConnection connection(Shared().port());
    connection.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(1500, i % 2 == 0))));
    if (i % 6 == 0) connection.ReadSome();
    if (i % 3 == 1) std::this_thread::sleep_for(milliseconds(i % 7));
  }
  EXPECT_TRUE(Shared().BecomesIdle());
  EXPECT_EQ(Shared().Post("/v1/chat/completions", Chat(3)).status, 200);
  EXPECT_EQ(Shared().engine->stats().scheduler.kv.num_in_use, 0);
}

TEST(Server, ConcurrentStreamsGiveWhatEachGivesAlone) {
  const auto text_of = [](int seed) {
    const Json request = {
        {"prompt", "tell me"}, {"max_tokens", 30}, {"seed", seed}, {"ignore_eos", true}, {"stream", true}};
    std::string text;
    for (const std::string& event : Shared().Post("/v1/completions", request).events()) {
      if (event != "[DONE]") text += Json::parse(event)["choices"][0]["text"].get<std::string>();
    }
    return text;
  };
  std::vector<std::string> alone(12), together(12);
  for (int i = 0; i < 12; ++i) alone[static_cast<size_t>(i)] = text_of(i);
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) threads.emplace_back([&, i] { together[static_cast<size_t>(i)] = text_of(i); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(alone, together);
  EXPECT_NE(alone[0], alone[1]);
}

TEST(Server, ThePageAdmitsOnlyItsOwnScript) {
  const TestReply page = Shared().Call("GET", "/");
  ASSERT_EQ(page.status, 200);
  EXPECT_NE(page.head.find("Content-Type: text/html"), std::string::npos);
  for (const char* part :
       {"default-src 'none'", "script-src 'sha256-", "require-trusted-types-for 'script'", "frame-ancestors 'none'"}) {
    EXPECT_NE(page.head.find(part), std::string::npos) << part;
  }
  for (const char* part : {"<script>\"use strict\"", "<style>:root"})
    EXPECT_NE(page.body.find(part), std::string::npos) << part;
  // Nothing comes from elsewhere, and no attribute needs what the policy forbids.
  for (const char* part : {"@SCRIPT@", "@STYLE@", " src=", "@import", "innerHTML", " onclick=", " style="}) {
    EXPECT_EQ(page.body.find(part), std::string::npos) << part;
  }
  ServerOptions options;
  options.ui = false;
  const TestServer fixture = StartServer(options);
  EXPECT_EQ(fixture.Call("GET", "/").status, 404);
}

}  // namespace
}  // namespace millrace
