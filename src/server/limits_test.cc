// Limits of the server, its end, and clients that do not behave.

#include <gtest/gtest.h>

#include "server/test_server.h"

namespace millrace {
namespace {

using std::chrono::steady_clock;

TEST(ServerLimits, KeysOriginsAndHosts) {
  ServerOptions options;
  options.access.api_keys = {"secret", "other"};
  options.access.cors_origins = {"https://app.example"};
  const TestServer fixture = StartServer(options);
  EXPECT_EQ(fixture.Call("GET", "/v1/models").status, 401);
  EXPECT_EQ(fixture.Call("GET", "/metrics").status, 401);
  EXPECT_EQ(fixture.Call("GET", "/v1/models", "", "Authorization: Bearer secre\r\n").status, 401);
  EXPECT_EQ(fixture.Call("GET", "/v1/models", "", "Authorization: Bearer secret\r\n").status, 200);
  EXPECT_EQ(fixture.Call("GET", "/v1/models", "", "X-Api-Key: other\r\n").status, 200);
  EXPECT_EQ(fixture.Call("GET", "/health").status, 200);
  EXPECT_EQ(fixture.Call("GET", "/health", "", "Origin: https://evil.example\r\n").status, 403);
  const TestReply preflight = fixture.Call("OPTIONS", "/v1/chat/completions", "", "Origin: https://app.example\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_NE(preflight.head.find("Access-Control-Allow-Origin: https://app.example"), std::string::npos);
  TestConnection rebound(fixture.port());
  rebound.Send("GET /health HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
  EXPECT_EQ(rebound.ReadReply().status, 403);
}

TEST(ServerLimits, OverloadIsAnsweredAtOnce) {
  ServerOptions options;
  options.service.max_open_sequences = 2;
  const TestServer fixture = StartServer(options, 1);
  std::vector<TestConnection> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back(fixture.port());
    busy.back().Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(2000, true))));
  }
  while (fixture.server->open_sequences() < 2) std::this_thread::sleep_for(milliseconds(1));
  const auto start = steady_clock::now();
  const TestReply reply = fixture.Post("/v1/chat/completions", Chat(5));
  EXPECT_LT(steady_clock::now() - start, milliseconds(500));
  EXPECT_EQ(reply.status, 429);
  EXPECT_NE(reply.head.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(reply.json()["error"]["code"], "overloaded");
  EXPECT_EQ(fixture.Call("GET", "/ready").status, 503);
  EXPECT_EQ(fixture.Call("GET", "/health").status, 200);
  busy.clear();
  EXPECT_TRUE(fixture.BecomesIdle());
  EXPECT_EQ(fixture.Call("GET", "/ready").status, 200);
}

// Not 429: to try again would not help.
TEST(ServerLimits, WhatAnIdleServerHasNoRoomForIsTheClients) {
  ServerOptions options;
  options.service.max_open_sequences = 4;
  const TestServer fixture = StartServer(options);
  const Json prompts = {"a", "b", "c", "d", "e"};
  for (const auto& [request, param] :
       {std::pair(Json{{"prompt", prompts}}, "prompt"), std::pair(Json{{"prompt", "a"}, {"n", 5}}, "n")}) {
    const TestReply reply = fixture.Post("/v1/completions", request);
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.json()["error"]["param"], param) << reply.body;
  }
  EXPECT_EQ(fixture.Post("/v1/embeddings", {{"input", prompts}}).json()["error"]["param"], "input");
  EXPECT_EQ(fixture.Post("/v1/completions", {{"prompt", {"a", "b", "c", "d"}}, {"max_tokens", 1}}).status, 200);
}

TEST(ServerLimits, SlowSendersAndIdleConnectionsHurtNobody) {
  ServerOptions options;
  options.http.header_timeout = milliseconds(300);
  options.http.body_timeout = milliseconds(300);
  options.http.idle_timeout = milliseconds(600);
  const TestServer fixture = StartServer(options);
  std::vector<TestConnection> slow;
  for (int i = 0; i < 300; ++i) {
    slow.emplace_back(fixture.port(), 10);
    ASSERT_TRUE(slow.back().connected());
    if (i % 3 == 0) slow.back().Send("GET /health HT");
    if (i % 3 == 1) slow.back().Send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  }
  EXPECT_EQ(fixture.Post("/v1/chat/completions", Chat(5)).status, 200);
  for (TestConnection& connection : slow) EXPECT_FALSE(connection.ReadSome());
  TestConnection idle(fixture.port(), 10);
  EXPECT_EQ(idle.Call("GET", "/health").status, 200);
  EXPECT_FALSE(idle.ReadSome());
}

// After its first second such a header is looked at once a second, without a read under way.
TEST(ServerLimits, AHeaderThatComesInDripsIsReadAndTheConnectionGoesOn) {
  const TestServer fixture = StartServer();
  TestConnection slow(fixture.port(), 10);
  const std::string text = TestConnection::RequestText("POST", "/tokenize", R"({"prompt": "a"})");
  const size_t piece = text.find("\r\n\r\n") / 5;
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(slow.Send(text.substr(i * piece, piece)));
    std::this_thread::sleep_for(milliseconds(700));
  }
  ASSERT_TRUE(slow.Send(text.substr(5 * piece)));
  EXPECT_EQ(slow.ReadReply().status, 200);
  const auto start = steady_clock::now();
  EXPECT_EQ(slow.Call("GET", "/health").status, 200);
  EXPECT_LT(steady_clock::now() - start, milliseconds(900));
}

// As such a header; the bytes of the next request are reported at once again.
TEST(ServerLimits, ABodyThatComesInDripsIsReadAndTheConnectionGoesOn) {
  const TestServer fixture = StartServer();
  TestConnection slow(fixture.port(), 10);
  const std::string text = TestConnection::RequestText("POST", "/tokenize", R"({"prompt": "one two three four five"})");
  const size_t body = text.find("\r\n\r\n") + 4, piece = (text.size() - body) / 6;
  ASSERT_TRUE(slow.Send(text.substr(0, body)));
  for (size_t i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(milliseconds(700));
    ASSERT_TRUE(slow.Send(text.substr(body + i * piece, piece)));
  }
  ASSERT_TRUE(slow.Send(text.substr(body + 5 * piece)));
  EXPECT_EQ(slow.ReadReply().status, 200);
  const auto start = steady_clock::now();
  EXPECT_EQ(slow.Call("GET", "/health").status, 200);
  EXPECT_LT(steady_clock::now() - start, milliseconds(900));
}

// What is announced gives no time, only what comes does.
TEST(ServerLimits, ALargeBodyThatDoesNotComeIsCutOff) {
  ServerOptions options;
  options.http.body_timeout = milliseconds(1500);
  const TestServer fixture = StartServer(options);
  const std::string head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n";
  TestConnection silent(fixture.port(), 20), steady(fixture.port(), 20);
  const auto start = steady_clock::now();
  ASSERT_TRUE(silent.Send(head + "{"));
  ASSERT_TRUE(steady.Send(head));
  const std::string some(100 << 10, ' ');
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(steady.Send(some)) << "after " << i;
    std::this_thread::sleep_for(milliseconds(100));
  }
  EXPECT_FALSE(silent.ReadSome());
  EXPECT_LT(steady_clock::now() - start, milliseconds(15'000));
  ASSERT_TRUE(steady.Send(std::string(30'000'000 - 30 * some.size(), ' ')));
  EXPECT_EQ(steady.ReadReply().status, 400);  // blanks are no JSON
}

// No end of the connection is seen, and nothing is written that could go unanswered.
TEST(ServerLimits, AClientThatVanishesIsFound) {
  ServerOptions options;
  options.http.heartbeat = milliseconds(1000);
  const TestServer fixture = StartServer(options);
  TestConnection client(fixture.port());
  Json body = Chat(2000);
  body["n"] = 128;
  client.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(body)));
  while (fixture.server->open_sequences() == 0) std::this_thread::sleep_for(milliseconds(1));
  if (!client.Vanish()) GTEST_SKIP() << "TCP_REPAIR needs CAP_NET_ADMIN";
  EXPECT_TRUE(fixture.BecomesIdle());
  EXPECT_LT(fixture.Call("GET", "/load").json()["generation_tokens"], 128 * 2000);
  EXPECT_NE(fixture.Call("GET", "/metrics").body.find("millrace:disconnects_total{model_name=\"tiny\"} 1"),
            std::string::npos);
}

TEST(ServerLimits, ConnectionsBeyondTheLimitAreClosed) {
  ServerOptions options;
  options.http.max_connections = 10;
  const TestServer fixture = StartServer(options);
  std::vector<TestConnection> open;
  for (int i = 0; i < 10; ++i) {
    open.emplace_back(fixture.port());
    ASSERT_EQ(open.back().Call("GET", "/health").status, 200);
  }
  TestConnection extra(fixture.port(), 5);
  EXPECT_FALSE(extra.ReadSome());
  EXPECT_EQ(open[3].Call("GET", "/health").status, 200);
}

TEST(ServerLimits, AStreamWithoutTokensYetIsKeptOpen) {
  ServerOptions options;
  options.http.heartbeat = milliseconds(6);
  const TestServer fixture = StartServer(options, 1);
  TestConnection busy(fixture.port());
  busy.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(1500))));
  while (fixture.server->open_sequences() == 0) std::this_thread::sleep_for(milliseconds(1));
  const TestReply waited = fixture.Post("/v1/chat/completions", Chat(3, true));
  EXPECT_EQ(waited.status, 200);
  EXPECT_LT(waited.body.find(": ping\n\n"), waited.body.find("data: ")) << waited.body;
  EXPECT_EQ(waited.events().back(), "[DONE]");
  EXPECT_EQ(busy.ReadReply().status, 200);
}

// The text of a stream of chat chunks.
std::string TextOf(const TestReply& reply) {
  std::string text;
  for (const std::string& event : reply.events()) {
    const Json chunk = Json::parse(event, nullptr, false);
    if (!chunk.is_object() || chunk["choices"].empty()) continue;
    text += chunk["choices"][0]["delta"].value("content", "");
  }
  return text;
}

TEST(ServerLimits, AStreamThatNobodyReadsIsPausedAndLosesNothing) {
  ServerOptions options;
  options.http.reply.backlog_bytes = 8 << 10;
  const TestServer fixture =
      StartServer(options, 1);  // one sequence at a time: a stalled one would be in everybody's way
  Json body = Chat(1000, true);
  body["logprobs"] = true;
  body["top_logprobs"] = 20;
  const std::string expected = TextOf(fixture.Post("/v1/chat/completions", body));
  TestConnection stalled(fixture.port());
  stalled.LimitReceiveBuffer(192 << 10);  // less than a segment of the loopback would make it send again and again
  stalled.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(body)));
  const auto load = [&](const char* name) { return fixture.Call("GET", "/load").json()[name].get<int64_t>(); };
  // What the kernel takes at first lets it go on a few times.
  int64_t generated = -1;
  for (int i = 0; i < 100 && (load("num_paused") == 0 || load("generation_tokens") != generated); ++i) {
    generated = load("generation_tokens");
    std::this_thread::sleep_for(milliseconds(100));
  }
  ASSERT_EQ(load("num_paused"), 1);
  EXPECT_EQ(fixture.Post("/v1/chat/completions", Chat(20)).status, 200);
  EXPECT_EQ(load("num_running"), 0);
  EXPECT_EQ(load("generation_tokens"), generated + 20);
  EXPECT_LT(generated, 1000 + 900);
  EXPECT_EQ(fixture.Call("GET", "/health").json()["seconds_since_progress"], 0.0);
  stalled.LimitReceiveBuffer(4 << 20);
  const TestReply reply = stalled.ReadReply();
  EXPECT_EQ(TextOf(reply), expected);
  EXPECT_EQ(reply.events().back(), "[DONE]");
  EXPECT_TRUE(fixture.BecomesIdle());
}

TEST(ServerLimits, DrainFinishesWhatIsUnderWay) {
  TestServer fixture = StartServer();
  TestConnection under_way(fixture.port());
  under_way.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(200))));
  while (fixture.server->open_sequences() == 0) std::this_thread::sleep_for(milliseconds(1));
  fixture.server->BeginDrain();
  EXPECT_EQ(fixture.Post("/v1/chat/completions", Chat(5)).status, 503);
  EXPECT_EQ(fixture.Call("GET", "/ready").status, 503);
  EXPECT_EQ(fixture.Call("GET", "/health").status, 200);
  EXPECT_TRUE(fixture.server->Stop(30'000'000));
  const TestReply reply = under_way.ReadReply();
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json()["usage"]["completion_tokens"], 200);
}

TEST(ServerLimits, StopCutsOffWhatDoesNotEnd) {
  TestServer fixture = StartServer();
  TestConnection under_way(fixture.port());
  under_way.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(2000, true))));
  while (fixture.server->open_sequences() == 0) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_FALSE(fixture.server->Stop(1000));
  EXPECT_TRUE(fixture.engine->Drain(1'000'000));
}

}  // namespace
}  // namespace millrace
