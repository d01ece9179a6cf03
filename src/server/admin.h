// Admin: what operators do to a running server, on a port of its own: GET /metrics /health /ready /version /load
// /log-level, POST /drain, DELETE /drain, POST /log-level {"level": ...}, POST /cache/reset.
#pragma once

#include <string>

#include "server/access.h"
#include "server/http/http_server.h"
#include "server/request_log.h"
#include "server/service.h"

namespace millrace {

class Admin : public HttpHandler {
 public:
  // What it acts on outlives it; `http` are the counters of the main port.
  Admin(Service& service, RequestLog& log, const HttpServerStats& http, const AccessOptions& access,
        std::string version)
      : service_(service), log_(log), http_(http), access_(access), version_(std::move(version)) {}

  std::optional<HttpResponse> Admit(HttpRequest& head) override;
  void Handle(std::shared_ptr<Exchange> exchange) override;
  HttpResponse MalformedRequest(int status, const std::string& message) override;

 private:
  HttpResponse Answer(const HttpRequest& request);
  HttpResponse SetLogLevel(const HttpRequest& request);
  HttpResponse Draining() const;

  Service& service_;
  RequestLog& log_;
  const HttpServerStats& http_;
  const Access access_;
  const std::string version_;
};

}  // namespace millrace
