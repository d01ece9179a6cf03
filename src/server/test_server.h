// A server in the test's process, on an ephemeral port, with a tiny model.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "server/server.h"
#include "server/test_client.h"

namespace millrace {

using std::chrono::milliseconds;

struct TestServer {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Server> server;
  int port() const { return server->port(); }
  TestReply Call(const std::string& method, const std::string& path, const std::string& body = "",
                 const std::string& headers = "") const {
    return TestConnection(port()).Call(method, path, body, headers);
  }
  TestReply Post(const std::string& path, const Json& body) const { return Call("POST", path, DumpJson(body)); }
  // Waits until no sequence is open and its blocks are back.
  bool BecomesIdle() const {
    for (int i = 0; i < 1000 && server->open_sequences() > 0; ++i) std::this_thread::sleep_for(milliseconds(10));
    return server->open_sequences() == 0 && engine->Drain(10'000'000);
  }
};

inline TestServer StartServer(ServerOptions options = {}, int max_num_seqs = 8,
                              const std::string& model = "synth:tiny-llama:Q4_0", const std::string& name = "tiny") {
  TestServer fixture;
  EngineOptions engine;
  engine.model = model;
  engine.num_threads = 1;
  engine.max_num_seqs = max_num_seqs;
  engine.kv_cache_bytes = 16 << 20;
  Result<std::unique_ptr<Engine>> opened = Engine::Open(engine);
  CHECK(opened.ok(), "{}", opened.status().message());
  fixture.engine = *std::move(opened);
  options.http.port = 0;
  options.service.served_model_name = name;
  Result<std::unique_ptr<Server>> server = Server::Start(*fixture.engine, options);
  CHECK(server.ok(), "{}", server.status().message());
  fixture.server = *std::move(server);
  return fixture;
}

inline const TestServer& Shared() {
  static const TestServer fixture = StartServer();
  return fixture;
}

inline Json Chat(int max_tokens, bool stream = false) {
  return {{"messages", Json::array({{{"role", "user"}, {"content", "hello"}}})},
          {"max_tokens", max_tokens},
          {"temperature", 0},
          {"ignore_eos", true},
          {"stream", stream}};
}

}  // namespace millrace
