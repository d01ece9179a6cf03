#include "server/server.h"

#include <algorithm>
#include <thread>

#include "server/api.h"
#include "server/api_error.h"
#include "server/api_info.h"
#include "server/web_page.h"
#include "server/worker_pool.h"

namespace millrace {
namespace {

using WorkerHandler = void (*)(Service&, const std::shared_ptr<Exchange>&);

struct Route {
  const char* method;
  const char* path;  // one that ends with / stands for everything below it
  WorkerHandler handler;  // null: answered at once
  bool generates;         // refused when draining or overloaded
  bool open;              // needs no key: probes and the page
};

constexpr const char* kPagePath = "/";

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", HandleChat, true, false},
    {"POST", "/v1/completions", HandleCompletions, true, false},
    {"POST", "/v1/embeddings", HandleEmbeddings, false, false},
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
    if (Matches(route, path) && (method == route.method || (method == "HEAD" && route.method == std::string_view("GET")))) return &route;
  }
  return nullptr;
}

bool IsKnownPath(const std::string& path) {
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [&](const Route& route) { return Matches(route, path); });
}

constexpr size_t kMaxQueuedTasks = 2048;
constexpr std::chrono::milliseconds kDrainPoll{5};
constexpr int64_t kAbortTimeoutUs = 5'000'000;

}  // namespace

class Server::Impl : public HttpHandler {
 public:
  Impl(std::unique_ptr<Service> service, const ServerOptions& options)
      : options_(options), service_(std::move(service)), access_(options.access), workers_(std::make_unique<WorkerPool>(options.num_workers, kMaxQueuedTasks)) {}

  Status Listen() {
    ASSIGN_OR_RETURN(http_, HttpServer::Start(options_.http, *this));
    return OkStatus();
  }

  std::optional<HttpResponse> Admit(HttpRequest& head) override {
    const Route* route = FindRoute(head.path, head.method);
    if (head.path == kPagePath && !options_.ui) route = nullptr;
    std::optional<HttpResponse> refusal = access_.Check(head, route != nullptr && route->open);
    if (!refusal && head.method == "OPTIONS") refusal = HttpResponse{.status = 204, .content_type = ""};
    if (!refusal && route == nullptr) refusal = UnknownRoute(head);
    if (!refusal && route->generates && service_->draining) {
      refusal = ErrorResponse({.status = 503, .message = "the server is shutting down", .type = "service_unavailable_error", .code = "draining", .retry_after_s = 1});
      head.keep_alive = false;
    }
    if (!refusal && route->generates && service_->overloaded()) {
      refusal = ErrorResponse(Overloaded(fmt::format("{} sequences are open, the limit is {} (--max-queued)", service_->open_sequences(), service_->options.max_open_sequences)));
    }
    if (!refusal) return std::nullopt;
    service_->metrics.HttpReply(route == nullptr ? "other" : route->path, refusal->status);
    for (auto& header : access_.CorsHeaders(head)) refusal->headers.push_back(std::move(header));
    return refusal;
  }

  void Handle(std::shared_ptr<Exchange> exchange) override {
    const HttpRequest& request = exchange->request();
    const Route* route = FindRoute(request.path, request.method);
    for (auto& [name, value] : access_.CorsHeaders(request)) exchange->AddHeader(name, value);
    const std::string orca = OrcaReport(*service_, request.Header("endpoint-load-metrics-format"));
    if (!orca.empty()) exchange->AddHeader("endpoint-load-metrics", orca);
    exchange->OnReply([this, route](int status) { service_->metrics.HttpReply(route->path, status); });
    if (route->handler == nullptr) {
      exchange->Send(Answer(request));
      return;
    }
    const bool posted = workers_->Post([this, handler = route->handler, exchange] { RunHandler(handler, exchange); });
    if (!posted) exchange->Send(ErrorResponse(Overloaded("too many requests are being prepared, try again")));
  }

  HttpResponse MalformedRequest(int status, const std::string& message) override {
    service_->metrics.HttpReply("malformed", status);
    return ErrorResponse({.status = status, .message = message});
  }

  int port() const { return http_->port(); }
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
    workers_.reset();
    // Closed exchanges aborted their requests; after this no output comes for them.
    engine.Drain(kAbortTimeoutUs);
    http_.reset();
    return complete;
  }

 private:
  void RunHandler(WorkerHandler handler, const std::shared_ptr<Exchange>& exchange) {
    try {
      handler(*service_, exchange);
    } catch (const std::exception&) {  // bad_alloc and the JSON library's own; its text is not for clients
      exchange->Send(ErrorResponse({.status = 500,
                                    .message = "the request " + exchange->request().id + " could not be handled",
                                    .type = "server_error"}));
    }
  }

  HttpResponse UnknownRoute(const HttpRequest& head) const {
    if (IsKnownPath(head.path) && (head.path != kPagePath || options_.ui)) {
      return ErrorResponse({.status = 405, .message = "this path does not take " + head.method, .code = "method_not_allowed"});
    }
    return ErrorResponse({.status = 404, .message = "there is no such path; see docs/api.md", .code = "not_found"});
  }

  HttpResponse Answer(const HttpRequest& request) const {
    constexpr std::string_view kModels = "/v1/models/";
    if (request.path == "/v1/models") return Models(*service_);
    if (request.path.starts_with(kModels)) return Model(*service_, request.path.substr(kModels.size()));
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
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<HttpServer> http_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { Stop(0); }

Result<std::unique_ptr<Server>> Server::Start(Engine& engine, const ServerOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Service> service, Service::Create(engine, options.service));
  auto impl = std::make_unique<Impl>(std::move(service), options);
  RETURN_IF_ERROR(impl->Listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

int Server::port() const { return impl_->port(); }
int Server::open_sequences() const { return impl_->service().open_sequences(); }
void Server::BeginDrain() { impl_->service().draining = true; }
bool Server::Stop(int64_t timeout_us) { return impl_->Stop(timeout_us); }

}  // namespace millrace
