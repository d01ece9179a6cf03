// Server: the HTTP service of one engine. Routes, keys, limits, draining.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "server/access.h"
#include "server/http/http_server.h"
#include "server/request_log.h"
#include "server/service.h"

namespace millrace {

struct ServerOptions {
  HttpServerOptions http;
  ServiceOptions service;
  AccessOptions access;
  std::string version = "0";
  int admin_port = -1;  // of a second listener for operators; 0 takes any free one, -1: none
  std::string admin_host = "127.0.0.1";
  int log_fd = -1;  // one JSON line a request; -1: none
  LogLevel log_level = LogLevel::kRequests;
  int num_workers = 2;  // templates, tokenizing, JSON
  bool ui = true;       // the page at /
};

class Server {
 public:
  // The engine outlives the server.
  static Result<std::unique_ptr<Server>> Start(Engine& engine, const ServerOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  int admin_port() const;  // -1: none
  int open_sequences() const;
  // From now on new generations are refused with 503 and /ready says so; what is under way goes on.
  void BeginDrain();
  // BeginDrain, waits until nothing is open or the time has passed, ends the rest, and closes every connection. True
  // when nothing was cut off.
  bool Stop(int64_t timeout_us);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
