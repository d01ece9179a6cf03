#include "server/server.h"

#include <algorithm>
#include <thread>

#include "server/admin.h"
#include "server/api.h"
#include "server/api_error.h"
#include "server/api_info.h"
#include "server/reply.h"
#include "server/url.h"
#include "server/web_page.h"
#include "server/worker_pool.h"

namespace millrace {
namespace {

using WorkerHandler = void (*)(Service&, const std::shared_ptr<Exchange>&);

struct Route {
  const char* method;
  const char* path;       // one that ends with / stands for everything below it
  WorkerHandler handler;  // null: answered at once
  bool generates;         // refused when draining or overloaded
  bool open;              // needs no key: probes and the page
};

constexpr const char* kPagePath = "/";

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", HandleChat, true, false},
    {"POST", "/v1/completions", HandleCompletions, true, false},
    {"POST", "/v1/messages", HandleMessages, true, false},
    {"POST", "/v1/messages/count_tokens", HandleCountTokens, false, false},
    {"POST", "/v1/responses", HandleResponses, true, false},
    {"GET", "/v1/responses/", HandleStoredResponse, false, false},
    {"DELETE", "/v1/responses/", HandleStoredResponse, false, false},
    {"POST", "/v1/embeddings", HandleEmbeddings, true, false},
    {"POST", "/tokenize", HandleTokenize, false, false},
    {"POST", "/detokenize", HandleDetokenize, false, false},
    {"POST", "/apply-template", HandleApplyTemplate, false, false},
    {"GET", "/v1/models", nullptr, false, false},
    {"GET", "/v1/models/", nullptr, false, false},
    {"GET", "/health", nullptr, false, true},
    {"GET", "/ready", nullptr, false, true},
    {"GET", "/version", nullptr, false, false},
    {"GET", "/load", nullptr, false, false},
    {"GET", "/metrics", nullptr, false, false},
    {"GET", kPagePath, nullptr, false, true},
};

bool Matches(const Route& route, const std::string& path) {
  const std::string_view wanted = route.path;
  if (wanted.size() > 1 && wanted.ends_with('/')) return path.size() > wanted.size() && path.starts_with(wanted);
  return path == wanted;
}

const Route* FindRoute(const std::string& path, const std::string& method) {
  for (const Route& route : kRoutes) {
    if (Matches(route, path) &&
        (method == route.method || (method == "HEAD" && route.method == std::string_view("GET"))))
      return &route;
  }
  return nullptr;
}

bool IsKnownPath(const std::string& path) {
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [&](const Route& route) { return Matches(route, path); });
}

// "GET, HEAD": what a known path takes, for the Allow header.
std::string MethodsOf(const std::string& path) {
  std::string methods;
  for (const Route& route : kRoutes) {
    if (!Matches(route, path)) continue;
    methods += (methods.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == std::string_view("GET")) methods += ", HEAD";
  }
  return methods;
}

constexpr size_t kMaxQueuedTasks = 2048;
constexpr int kMaxAdminConnections = 256;
constexpr int kClientLeft = 499;  // as nginx calls it
constexpr std::chrono::milliseconds kDrainPoll{5};
constexpr int64_t kAbortTimeoutUs = 5'000'000;

}  // namespace

class Server::Impl : public HttpHandler {
 public:
  Impl(std::unique_ptr<Service> service, const ServerOptions& options)
      : options_(options),
        service_(std::move(service)),
        access_(options.access),
        log_(options.log_fd, options.log_level),
        workers_(std::make_unique<WorkerPool>(options.num_workers, kMaxQueuedTasks)) {}

  Status Listen() {
    ASSIGN_OR_RETURN(http_, HttpServer::Start(options_.http, *this));
    if (options_.admin_port < 0) return OkStatus();
    AccessOptions access = options_.access;
    access.loopback = IsLoopbackHost(options_.admin_host);
    admin_ = std::make_unique<Admin>(*service_, log_, http_->stats(), access, options_.version);
    HttpServerOptions http = options_.http;
    http.host = options_.admin_host;
    http.port = options_.admin_port;
    http.num_threads = 1;
    http.max_connections = kMaxAdminConnections;
    ASSIGN_OR_RETURN(admin_http_, HttpServer::Start(http, *admin_));
    return OkStatus();
  }

  std::optional<HttpResponse> Admit(HttpRequest& head) override {
    const Route* route = FindRoute(head.path, head.method);
    if (head.path == kPagePath && !options_.ui) route = nullptr;
    std::optional<HttpResponse> refusal;
    if (const std::optional<ApiError> error = Refusal(head, route)) {
      refusal = ErrorResponse(*error, head);
      if (error->status == 405) refusal->headers.emplace_back("Allow", MethodsOf(head.path));
    } else if (head.method == "OPTIONS") {
      refusal = HttpResponse{.status = 204, .content_type = ""};
    }
    if (!refusal) return std::nullopt;
    service_->metrics.HttpReply(route == nullptr ? "other" : route->path, refusal->status);
    log_.Write(head, {.status = refusal->status, .complete = true, .notes = {}}, std::chrono::system_clock::now());
    for (auto& header : access_.CorsHeaders(head)) refusal->headers.push_back(std::move(header));
    return refusal;
  }

  void Handle(std::shared_ptr<Exchange> exchange) override {
    const HttpRequest& request = exchange->request();
    const Route* route = FindRoute(request.path, request.method);
    for (auto& [name, value] : access_.CorsHeaders(request)) exchange->AddHeader(name, value);
    const std::string orca = OrcaReport(*service_, request.Header("endpoint-load-metrics-format"));
    if (!orca.empty()) exchange->AddHeader("endpoint-load-metrics", orca);
    exchange->OnEnd(
        [this, route, exchange = exchange.get(), start = std::chrono::system_clock::now()](const RequestEnd& end) {
          service_->metrics.HttpReply(route->path, end.status == 0 ? kClientLeft : end.status);
          log_.Write(exchange->request(), end, start);
        });
    if (route->handler == nullptr) {
      exchange->Send(Answer(request));
      return;
    }
    const bool posted = workers_->Post([this, handler = route->handler, exchange] { RunHandler(handler, exchange); });
    if (!posted) SendError(*exchange, Overloaded("too many requests are being prepared, try again"));
  }

  HttpResponse MalformedRequest(int status, const std::string& message) override {
    service_->metrics.HttpReply("malformed", status);
    return ErrorResponse({.status = status, .message = message});
  }

  int port() const { return http_->port(); }
  int admin_port() const { return admin_http_ == nullptr ? -1 : admin_http_->port(); }
  Service& service() { return *service_; }

  bool Stop(int64_t timeout_us) {
    service_->draining = true;
    if (http_ == nullptr) return true;
    Engine& engine = service_->engine;
    const int64_t deadline = engine.NowUs() + timeout_us;
    while (service_->open_sequences() > 0 && engine.NowUs() < deadline) std::this_thread::sleep_for(kDrainPoll);
    const bool complete = service_->open_sequences() == 0;
    // The last replies are on their way out of the exchanges: a moment for the sockets to take them.
    std::this_thread::sleep_for(complete ? 10 * kDrainPoll : kDrainPoll);
    http_->Stop();
    if (admin_http_ != nullptr) admin_http_->Stop();
    workers_.reset();
    // Closed exchanges aborted their requests; after this no output comes for them.
    engine.Drain(kAbortTimeoutUs);
    admin_http_.reset();
    http_.reset();
    return complete;
  }

 private:
  void RunHandler(WorkerHandler handler, const std::shared_ptr<Exchange>& exchange) {
    try {
      handler(*service_, exchange);
    } catch (const std::exception&) {  // bad_alloc and the JSON library's own; its text is not for clients
      SendError(*exchange, {.status = 500,
                            .message = "the request " + exchange->request().id + " could not be handled",
                            .type = "server_error"});
    }
  }

  std::optional<ApiError> Refusal(HttpRequest& head, const Route* route) const {
    if (std::optional<ApiError> error = access_.Check(head, route != nullptr && route->open)) return error;
    if (head.method == "OPTIONS") return std::nullopt;
    if (route == nullptr && IsKnownPath(head.path) && (head.path != kPagePath || options_.ui)) {
      return ApiError{.status = 405, .message = "this path does not take " + head.method, .code = "method_not_allowed"};
    }
    if (route == nullptr)
      return ApiError{.status = 404, .message = "there is no such path; see docs/api.md", .code = "not_found"};
    if (const std::string_view encoding = head.Header("content-encoding");
        !encoding.empty() && encoding != "identity") {
      return ApiError{
          .status = 415,
          .message = fmt::format("the body's Content-Encoding is {}, expected a body as it is", encoding.substr(0, 64)),
          .code = "unsupported_content_encoding"};
    }
    if (!route->generates) return std::nullopt;
    if (service_->draining) {
      head.keep_alive = false;
      return ApiError{.status = 503,
                      .message = "the server is shutting down",
                      .type = "service_unavailable_error",
                      .code = "draining",
                      .retry_after_s = 1};
    }
    if (service_->overloaded()) {
      return Overloaded(fmt::format("{} sequences are open, the limit is {} (--max-queued)", service_->open_sequences(),
                                    service_->options.max_open_sequences));
    }
    return std::nullopt;
  }

  HttpResponse Answer(const HttpRequest& request) const {
    constexpr std::string_view kModels = "/v1/models/";
    if (request.path == "/v1/models") return Models(*service_);
    if (request.path.starts_with(kModels)) return Model(*service_, PercentDecoded(request.path.substr(kModels.size())));
    if (request.path == "/health") return Health(*service_);
    if (request.path == "/ready") return Ready(*service_);
    if (request.path == "/version") return Version(options_.version);
    if (request.path == "/load") return Load(*service_);
    if (request.path == kPagePath) return WebPage();
    return MetricsPage(*service_, http_->stats());
  }

  const ServerOptions options_;
  const std::unique_ptr<Service> service_;
  const Access access_;
  RequestLog log_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<HttpServer> admin_http_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() {
  Stop(0);
}

Result<std::unique_ptr<Server>> Server::Start(Engine& engine, const ServerOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Service> service, Service::Create(engine, options.service));
  auto impl = std::make_unique<Impl>(std::move(service), options);
  RETURN_IF_ERROR(impl->Listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

int Server::port() const {
  return impl_->port();
}
int Server::admin_port() const {
  return impl_->admin_port();
}
int Server::open_sequences() const {
  return impl_->service().open_sequences();
}
void Server::BeginDrain() {
  impl_->service().draining = true;
}
bool Server::Stop(int64_t timeout_us) {
  return impl_->Stop(timeout_us);
}

}  // namespace millrace
