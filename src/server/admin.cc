#include "server/admin.h"

#include <algorithm>
#include <iterator>

#include "server/api_info.h"

namespace millrace {
namespace {

struct AdminRoute {
  const char* method;
  const char* path;
  bool open;  // needs no key
};
constexpr AdminRoute kRoutes[] = {
    {"GET", "/metrics", false},      {"GET", "/health", true},  {"GET", "/ready", true},
    {"GET", "/version", false},      {"GET", "/load", false},   {"GET", "/log-level", false},
    {"POST", "/log-level", false},   {"POST", "/drain", false}, {"DELETE", "/drain", false},
    {"POST", "/cache/reset", false},
};

}  // namespace

std::optional<HttpResponse> Admin::Admit(HttpRequest& head) {
  const auto* route = std::find_if(std::begin(kRoutes), std::end(kRoutes),
                                   [&](const AdminRoute& r) { return head.path == r.path && head.method == r.method; });
  const bool known = route != std::end(kRoutes);
  if (const std::optional<ApiError> error = access_.Check(head, known && route->open)) return ErrorResponse(*error);
  if (!known)
    return ErrorResponse({.status = 404,
                          .message = "the admin port has no " + head.method + " at this path; see docs/guide.md",
                          .code = "not_found"});
  return std::nullopt;
}

void Admin::Handle(std::shared_ptr<Exchange> exchange) {
  exchange->Send(Answer(exchange->request()));
}

HttpResponse Admin::MalformedRequest(int status, const std::string& message) {
  return ErrorResponse({.status = status, .message = message});
}

HttpResponse Admin::Draining() const {
  return {.body = DumpJson({{"draining", service_.draining.load()}, {"open_sequences", service_.open_sequences()}})};
}

HttpResponse Admin::SetLogLevel(const HttpRequest& request) {
  const Result<Json> body = ParseJson(request.body);
  const bool has_level = body.ok() && body->is_object() && body->contains("level") && (*body)["level"].is_string();
  const Result<LogLevel> level = ParseLogLevel(has_level ? (*body)["level"].get<std::string>() : "");
  if (!level.ok()) return ErrorResponse(ToApiError(level.status()));
  log_.set_level(*level);
  return {.body = DumpJson({{"level", LogLevelName(log_.level())}})};
}

HttpResponse Admin::Answer(const HttpRequest& request) {
  if (request.path == "/health") return Health(service_);
  if (request.path == "/ready") return Ready(service_);
  if (request.path == "/version") return Version(version_);
  if (request.path == "/load") return Load(service_);
  if (request.path == "/metrics") return MetricsPage(service_, http_);
  if (request.path == "/cache/reset") {
    service_.engine.DropCachedPrefixes();
    return {.body = DumpJson({{"reset", true}})};
  }
  if (request.path == "/log-level") {
    if (request.method == "POST") return SetLogLevel(request);
    return {.body = DumpJson({{"level", LogLevelName(log_.level())}, {"dropped_lines", log_.num_dropped()}})};
  }
  service_.draining = request.method == "POST";
  return Draining();
}

}  // namespace millrace
