// What operators see: the admin port, the request log, load reports, and requests that fail alone.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>

#include "base/file.h"
#include "server/test_server.h"

namespace millrace {
namespace {

const std::string kModels = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/models/";

TEST(Admin, DrainsResetsAndSetsTheLogLevel) {
  ServerOptions options;
  options.admin_port = 0;
  options.access.api_keys = {"secret"};
  const TestServer server = StartServer(options);
  const auto call = [&](const std::string& method, const std::string& path, const std::string& body = "") {
    return TestConnection(server.server->admin_port()).Call(method, path, body, "Authorization: Bearer secret\r\n");
  };
  const std::string key = "Authorization: Bearer secret\r\n";
  EXPECT_EQ(TestConnection(server.server->admin_port()).Call("POST", "/drain").status, 401);
  EXPECT_EQ(TestConnection(server.server->admin_port()).Call("GET", "/health").status, 200);
  EXPECT_EQ(server.Call("POST", "/drain", "", key).status, 404);
  EXPECT_EQ(call("GET", "/v1/models").status, 404);
  EXPECT_NE(call("GET", "/metrics").body.find("vllm:num_requests_running"), std::string::npos);

  Json chat = Chat(3);
  const auto cached = [&] {
    return server.Call("POST", "/v1/chat/completions", DumpJson(chat), key)
        .json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        .get<int>();
  };
  cached();
  EXPECT_GT(cached(), 0);
  EXPECT_EQ(call("POST", "/cache/reset").status, 200);
  EXPECT_EQ(cached(), 0);

  EXPECT_EQ(call("POST", "/log-level", R"({"level":"errors"})").json()["level"], "errors");
  EXPECT_EQ(call("GET", "/log-level").json()["level"], "errors");
  EXPECT_EQ(call("POST", "/log-level", R"({"level":"all"})").status, 400);
  EXPECT_EQ(call("POST", "/log-level", "[").status, 400);
  EXPECT_EQ(call("POST", "/drain").json()["draining"], true);
  EXPECT_EQ(server.Call("POST", "/v1/chat/completions", DumpJson(chat), key).status, 503);
  EXPECT_EQ(call("GET", "/ready").status, 503);
  EXPECT_EQ(call("DELETE", "/drain").json()["draining"], false);
  EXPECT_EQ(server.Call("POST", "/v1/chat/completions", DumpJson(chat), key).status, 200);
}

TEST(Log, OneLineARequestWithItsTokens) {
  std::array<int, 2> pipe_ends;
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  {
    ServerOptions options;
    options.log_fd = pipe_ends[1];
    const TestServer server = StartServer(options);
    server.Call("POST", "/v1/chat/completions", DumpJson(Chat(4, true)), "X-Request-Id: my-id\r\n");
    server.Call("POST", "/v1/completions", "{}");
    server.Call("GET", "/nowhere");
    TestConnection leaving(server.port());
    leaving.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(2000, true))));
    leaving.ReadSome();
    leaving.Close();
    EXPECT_TRUE(server.BecomesIdle());
  }
  ::close(pipe_ends[1]);
  std::string text;
  for (char c; ::read(pipe_ends[0], &c, 1) == 1;) text += c;
  ::close(pipe_ends[0]);
  std::vector<Json> lines;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(Json::parse(text.substr(begin, end - begin)));
  ASSERT_EQ(lines.size(), 4u) << text;
  EXPECT_EQ(lines[0]["request_id"], "my-id");
  EXPECT_EQ(lines[0]["status"], 200);
  EXPECT_EQ(lines[0]["completion_tokens"], 4);
  EXPECT_EQ(lines[0]["finish_reason"], "length");
  EXPECT_GE(lines[0]["duration_ms"], lines[0]["first_token_ms"]);
  EXPECT_EQ(lines[0]["time"].get<std::string>().size(), std::string("2026-01-01T00:00:00.000Z").size());
  EXPECT_EQ(lines[1]["status"], 400);
  EXPECT_EQ(lines[2]["status"], 404);
  EXPECT_EQ(lines[3]["complete"], false);
  EXPECT_EQ(lines[3]["finish_reason"], "abort");
}

TEST(Log, AReaderThatDoesNotReadHoldsNobodyUp) {
  std::signal(SIGPIPE, SIG_IGN);  // as `millrace serve` does
  std::array<int, 2> pipe_ends;
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  RequestLog log(pipe_ends[1], LogLevel::kRequests);
  HttpRequest request;
  request.path = std::string(200, 'a');
  for (int i = 0; i < 50'000; ++i)
    log.Write(request, {.status = 200, .complete = true, .notes = {}}, std::chrono::system_clock::now());
  EXPECT_GT(log.num_dropped(), 0);
  ::close(pipe_ends[0]);  // the log's thread sees that nobody reads
  log.set_level(LogLevel::kErrors);
  const int64_t dropped = log.num_dropped();
  log.Write(request, {.status = 200, .complete = true, .notes = {}}, std::chrono::system_clock::now());
  EXPECT_EQ(log.num_dropped(), dropped);
}

TEST(LoadReport, HasBothFormats) {
  const auto report = [](const std::string& format) {
    const TestReply reply = Shared().Call("GET", "/version", "", "endpoint-load-metrics-format: " + format + "\r\n");
    const size_t at = reply.head.find("endpoint-load-metrics: ");
    return at == std::string::npos ? "" : reply.head.substr(at + 23, reply.head.find("\r\n", at) - at - 23);
  };
  const std::string text = report("TEXT"), json = report("JSON");
  ASSERT_TRUE(text.starts_with("TEXT named_metrics.kv_cache_usage_perc=")) << text;
  ASSERT_TRUE(json.starts_with("JSON {")) << json;
  EXPECT_TRUE(Json::parse(json.substr(5))["named_metrics"].contains("num_requests_waiting"));
  EXPECT_EQ(report("XML"), "");
}

// A model whose embedding of one token is not a number.
std::string PoisonedModel(TokenId token) {
  const std::string weights = *ReadFile(kModels + "llama/model.safetensors", 64 << 20);
  std::string model = *ReadFile(kModels + "llama/model.gguf", 64 << 20);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, weights.data(), sizeof(header_bytes));
  const Json header = Json::parse(weights.substr(8, header_bytes));
  const Json& tensor = header["model.embed_tokens.weight"];
  const size_t row_bytes = tensor["shape"][1].get<size_t>() * sizeof(float);
  const std::string row = weights.substr(
      8 + header_bytes + tensor["data_offsets"][0].get<size_t>() + static_cast<size_t>(token) * row_bytes, row_bytes);
  const size_t at = model.find(row);
  CHECK(at != std::string::npos, "the row of token {} is not in the GGUF file", token);
  for (size_t i = 0; i < row_bytes; i += sizeof(float)) {
    const float nan = NAN;
    std::memcpy(model.data() + at + i, &nan, sizeof(nan));
  }
  const std::string path = testing::TempDir() + "/poisoned.gguf";
  std::ofstream(path, std::ios::binary) << model;
  return path;
}

TEST(Failures, NotANumberFailsOneRequestWithAReason) {
  const TestServer server = StartServer({}, 8, PoisonedModel(70));
  const auto ask = [](int token) {
    return Json{{"prompt", {5, 6, token, 7}}, {"max_tokens", 30}, {"temperature", 0},
                {"ignore_eos", true},         {"stream", false},  {"logit_bias", {{"70", -100}}}};
  };
  const std::string before = server.Post("/v1/completions", ask(8)).json()["choices"][0]["text"];
  std::vector<TestConnection> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(server.port());
    clients.back().Send(TestConnection::RequestText("POST", "/v1/completions", DumpJson(ask(i % 2 == 0 ? 8 : 70))));
  }
  for (int i = 0; i < 6; ++i) {
    const TestReply reply = clients[static_cast<size_t>(i)].ReadReply();
    if (i % 2 == 0) {
      ASSERT_EQ(reply.status, 200) << reply.body;
      EXPECT_EQ(reply.json()["choices"][0]["text"], before);
    } else {
      EXPECT_EQ(reply.status, 500) << reply.body;
      EXPECT_EQ(reply.json()["error"]["type"], "server_error");
      EXPECT_GT(reply.json()["error"]["message"].get<std::string>().size(), 10u);
    }
  }
  const TestReply embedding = server.Post("/v1/embeddings", {{"input", {5, 70, 6}}});
  EXPECT_EQ(embedding.status, 500) << embedding.body;
  EXPECT_TRUE(server.BecomesIdle());
}

TEST(Failures, WhatTheSchedulerRefusesIsNoServerError) {
  const TestServer server = StartServer({}, 4);
  // A beam search that needs more memory at once than there is.
  const TestReply beams =
      server.Post("/v1/completions", {{"prompt", "a"}, {"n", 100}, {"use_beam_search", true}, {"max_tokens", 1000}});
  EXPECT_TRUE(beams.status == 400 || beams.status == 429) << beams.body;
  EXPECT_FALSE(beams.json()["error"]["message"].get<std::string>().empty());
  EXPECT_EQ(server.Post("/v1/chat/completions", Chat(3)).status, 200);
}

TEST(Failures, ConstraintsThatContradictEachOtherAreTheClients) {
  const Json letter = Shared().Post("/tokenize", {{"prompt", "x"}, {"add_special_tokens", false}}).json()["tokens"][0];
  const TestReply reply =
      Shared().Post("/v1/completions",
                    {{"prompt", "a"}, {"max_tokens", 4}, {"guided_regex", "[0-9]+"}, {"allowed_token_ids", {letter}}});
  EXPECT_EQ(reply.status, 400) << reply.body;
  EXPECT_EQ(reply.json()["error"]["message"], "the constraints leave no token to draw");
}

TEST(Failures, AQueueTimeoutIsNamed) {
  const TestServer server = StartServer({}, 1);
  TestConnection busy(server.port());
  busy.Send(TestConnection::RequestText("POST", "/v1/chat/completions", DumpJson(Chat(1500))));
  while (server.server->open_sequences() == 0) std::this_thread::sleep_for(milliseconds(1));
  Json body = Chat(3);
  body["queue_timeout"] = 0.001;
  const TestReply reply = server.Post("/v1/chat/completions", body);
  EXPECT_EQ(reply.status, 504) << reply.body;
  EXPECT_EQ(reply.json()["error"]["param"], "queue_timeout");
}

TEST(Reports, ATokenThatStopsIsNamed) {
  Json body = {
      {"prompt", "hello"}, {"max_tokens", 6}, {"temperature", 0}, {"ignore_eos", true}, {"return_token_ids", true}};
  const Json third = Shared().Post("/v1/completions", body).json()["choices"][0]["token_ids"][2];
  body["stop_token_ids"] = {third};
  const Json choice = Shared().Post("/v1/completions", body).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], third) << choice;
}

TEST(Reports, TimesOfRequestsHaveVllmsNames) {
  const TestServer server = StartServer();
  server.Post("/v1/completions", {{"prompt", "hello"}, {"max_tokens", 6}, {"n", 2}, {"ignore_eos", true}});
  const std::string page = server.Call("GET", "/metrics").body;
  for (const char* name : {"queue", "prefill", "decode", "inference"}) {
    EXPECT_NE(page.find(fmt::format("vllm:request_{}_time_seconds_count{{model_name=\"tiny\"}} 1\n", name)),
              std::string::npos)
        << name;
  }
  EXPECT_NE(page.find("vllm:request_generation_tokens_sum{model_name=\"tiny\"} 12\n"), std::string::npos);
  EXPECT_NE(page.find("vllm:request_max_num_generation_tokens_sum{model_name=\"tiny\"} 6\n"), std::string::npos);
}

}  // namespace
}  // namespace millrace
