#include "server/http/http_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include "server/http/session.h"

namespace millrace {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr int kReservedDescriptors = 256;  // model files, logs, the event loop
constexpr std::chrono::milliseconds kAcceptRetry{100};

// Raises the soft limit on descriptors to the hard one; what is then left for connections.
int ConnectionLimit(int wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t available = limit.rlim_cur > kReservedDescriptors ? limit.rlim_cur - kReservedDescriptors : 1;
  return static_cast<int>(std::min<rlim_t>(available, static_cast<rlim_t>(wanted)));
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, HttpHandler& handler)
      : options_(options),
        max_connections_(ConnectionLimit(options.max_connections)),
        context_{.options = options_, .handler = handler, .stats = stats_},
        loops_(static_cast<size_t>(options.num_threads)),
        acceptor_(loops_[0].io),
        retry_(acceptor_.get_executor()) {
    context_.request_id_seed = std::random_device{}();
  }
  ~Impl() { Stop(); }

  Status Listen() {
    RETURN_IF_ERROR(LoadTls());
    boost::system::error_code error;
    const asio::ip::address address =
        options_.host == "localhost" ? asio::ip::address_v4::loopback() : asio::ip::make_address(options_.host, error);
    if (error) return InvalidArgument("--host is {}, expected an IP address or localhost", options_.host);
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(options_.port));
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return Unavailable("can't listen on {}:{}: {} (--host, --port)", options_.host, options_.port, error.message());
    port_ = acceptor_.local_endpoint().port();
    Accept();
    for (Loop& loop : loops_) threads_.emplace_back([&loop] { loop.io.run(); });
    return OkStatus();
  }

  void Stop() {
    if (threads_.empty()) return;
    asio::post(acceptor_.get_executor(), [this] {
      stopping_ = true;
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      std::lock_guard lock(mutex_);
      for (const auto& [key, weak] : sessions_) {
        if (const std::shared_ptr<Session> session = weak.lock()) session->Close();
      }
      for (Loop& loop : loops_) loop.work.reset();
    });
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  int port() const { return port_; }
  const HttpServerStats& stats() const { return stats_; }

 private:
  // One thread's event loop; a connection stays with one. A loop shared by the threads hands every event from one to
  // the other, which costs more than what most events are about.
  struct Loop {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  };

  Status LoadTls() {
    if (options_.tls_cert_file.empty() != options_.tls_key_file.empty()) {
      return InvalidArgument("--ssl-certfile and --ssl-keyfile go together, one is missing");
    }
    if (options_.tls_cert_file.empty()) return OkStatus();
    boost::system::error_code error;
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->set_options(
        asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
    if (!error) tls_->use_certificate_chain_file(options_.tls_cert_file, error);
    if (error) return InvalidArgument("--ssl-certfile {} can't be used: {}", options_.tls_cert_file, error.message());
    tls_->use_private_key_file(options_.tls_key_file, asio::ssl::context::pem, error);
    if (!error && SSL_CTX_check_private_key(tls_->native_handle()) != 1) {
      return InvalidArgument("--ssl-keyfile {} does not belong to the certificate", options_.tls_key_file);
    }
    if (error) return InvalidArgument("--ssl-keyfile {} can't be used: {}", options_.tls_key_file, error.message());
    context_.tls = &*tls_;
    return OkStatus();
  }

  // Sessions are forgotten lazily: when the table has doubled since the last time, the dead are swept out.
  void Remember(const std::shared_ptr<Session>& session) {
    std::lock_guard lock(mutex_);
    sessions_[session.get()] = session;
    if (sessions_.size() < 2 * live_after_sweep_ + 64) return;
    std::erase_if(sessions_, [](const auto& entry) { return entry.second.expired(); });
    live_after_sweep_ = sessions_.size();
  }

  void Accept() {
    next_loop_ = (next_loop_ + 1) % loops_.size();
    acceptor_.async_accept(loops_[next_loop_].io, [this](boost::system::error_code error, tcp::socket socket) {
      if (stopping_) return;
      if (error) {  // out of descriptors, most likely: wait for some to be closed
        retry_.expires_after(kAcceptRetry);
        retry_.async_wait([this](boost::system::error_code) {
          if (!stopping_) Accept();
        });
        return;
      }
      if (stats_.open_connections.load(std::memory_order_relaxed) >= max_connections_) {
        stats_.refused.fetch_add(1, std::memory_order_relaxed);
      } else {
        stats_.accepted.fetch_add(1, std::memory_order_relaxed);
        const auto session = std::make_shared<Session>(std::move(socket), context_);
        Remember(session);
        session->Start();
      }
      Accept();
    });
  }

  const HttpServerOptions options_;
  const int max_connections_;
  HttpServerStats stats_;
  std::optional<asio::ssl::context> tls_;
  SessionContext context_;
  std::deque<Loop> loops_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  bool stopping_ = false;  // this and next_loop_: on the acceptor's thread
  size_t next_loop_ = 0;
  int port_ = 0;
  std::mutex mutex_;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions_;
  size_t live_after_sweep_ = 0;
  std::vector<std::thread> threads_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options, HttpHandler& handler) {
  auto impl = std::make_unique<Impl>(options, handler);
  RETURN_IF_ERROR(impl->Listen());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const {
  return impl_->port();
}
const HttpServerStats& HttpServer::stats() const {
  return impl_->stats();
}
void HttpServer::Stop() {
  impl_->Stop();
}

}  // namespace millrace
