// HttpServer: HTTP/1.1 on a few threads for thousands of connections. It knows nothing of models: a handler gets whole
// requests as Exchanges. Meets hostile clients with bounds on time, size and number (HttpServerOptions).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "server/http/exchange.h"

namespace millrace {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;            // 0: any free one
  std::string tls_cert_file;  // PEM chain; "": plain HTTP
  std::string tls_key_file;
  int num_threads = 2;
  int max_connections = 16384;  // further ones are closed at once
  size_t max_header_bytes = 16 << 10;
  size_t max_header_fields = 100;
  size_t max_body_bytes = size_t{32} << 20;
  int64_t max_pending_body_bytes = int64_t{512} << 20;  // of all requests being received: beyond, 503
  Exchange::Limits reply;  // what of a reply may wait for its reader; as much again is on its way
  std::chrono::milliseconds header_timeout{
      10'000};                                      // from the first byte (of a connection: from its start) to the last
  std::chrono::milliseconds body_timeout{30'000};   // and one second more for every 64 KiB that have come
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  std::chrono::milliseconds write_timeout{30'000};  // without a byte taken, or a sign of life, from the client's side
  std::chrono::milliseconds heartbeat{
      15'000};  // between the comments that keep a quiet event stream open; a silent peer is probed after as long
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // On a connection thread, before the body is read: an answer refuses the request. May set tenant.
  virtual std::optional<HttpResponse> Admit(HttpRequest& head) = 0;
  // On a connection thread; must not block. The reply may come later and from any thread.
  virtual void Handle(std::shared_ptr<Exchange> exchange) = 0;
  // The answer to a request that could not be read.
  virtual HttpResponse MalformedRequest(int status, const std::string& message) = 0;
};

struct HttpServerStats {
  std::atomic<int> open_connections{0};
  std::atomic<int64_t> accepted{0};
  std::atomic<int64_t> refused{0};  // beyond max_connections
  std::atomic<int64_t> malformed{0};
  std::atomic<int64_t> timeouts{0};  // while a request was being sent
  std::atomic<int64_t> slow_readers{0};
  std::atomic<int64_t> disconnects{0};  // before the reply was finished
};

class HttpServer {
 public:
  // kUnavailable names the address when it can't be bound, kInvalidArgument the certificate or key that can't be used.
  // The handler outlives the server.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  const HttpServerStats& stats() const;
  // Closes every connection, running the close callbacks of unfinished exchanges, and joins the threads.
  void Stop();

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
