#include "server/http/session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/read_size.hpp>
#include <boost/beast/http/read.hpp>

namespace millrace {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A body that is refused is still read up to this size, so that the connection can go on.
constexpr int64_t kMaxSkippedBodyBytes = 1 << 20;
constexpr milliseconds kLingerTimeout{2'000};
// A header that is not complete so long after its first bytes is looked at only so often; the looks of all connections
// fall on common moments, so that a thread wakes once for many.
constexpr milliseconds kLookInterval{1'000};
constexpr milliseconds kLookGrid{50};
constexpr int kUnhurriedLowWater = 16 << 10;
constexpr size_t kSlowBodyBytes = size_t{64} << 10;  // of a second
constexpr int kProbeSeconds = 5, kMaxProbes = 3;
constexpr size_t kMaxHeaderRead = size_t{64} << 10;
constexpr int kMaxUnsentBytes = 128 << 10;     // that the kernel takes of a reply while its reader is slow
constexpr milliseconds kFarewellTimeout{500};  // for the other side's close_notify

bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower;
}

}  // namespace

Session::Session(asio::ip::tcp::socket socket, SessionContext& context)
    : stream_(std::move(socket), context.tls),
      context_(context),
      timer_(stream_.get_executor()),
      buffer_(size_t{64} << 10) {
  context_.stats.open_connections.fetch_add(1, std::memory_order_relaxed);
}

Session::~Session() {
  ReleaseBody();
  context_.stats.open_connections.fetch_sub(1, std::memory_order_relaxed);
}

void Session::Start() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] { self->BeginConnection(); });
}

void Session::BeginConnection() {
  ErrorCode ignored;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  setsockopt(stream_.socket().native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMaxUnsentBytes,
             sizeof kMaxUnsentBytes);
  FindVanishedPeers();
  parser_.emplace();
  Enter(Phase::kHeader, context_.options.header_timeout);
  if (!stream_.encrypted()) return ReadHeader();
  FirstLook();
  stream_.AsyncHandshake([self = shared_from_this()](ErrorCode error) {
    if (self->phase_ == Phase::kClosed) return;
    self->established_ = !error;
    if (!error) return self->ReadHeader();
    self->context_.stats.malformed.fetch_add(1, std::memory_order_relaxed);
    self->Shut();
  });
}

void Session::FindVanishedPeers() {
  const int socket = stream_.socket().native_handle();
  const auto set = [&](int level, int option, int value) { setsockopt(socket, level, option, &value, sizeof value); };
  const auto idle = std::chrono::ceil<std::chrono::seconds>(context_.options.heartbeat);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, static_cast<int>(idle.count())));
  set(IPPROTO_TCP, TCP_KEEPINTVL, kProbeSeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kMaxProbes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(context_.options.write_timeout.count()));
}

void Session::Close() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] { self->Shut(); });
}

void Session::Enter(Phase phase, milliseconds timeout) {
  phase_ = phase;
  deadline_ = steady_clock::now() + timeout;
  SetTimer(deadline_);
}

void Session::SetTimer(steady_clock::time_point when) {
  const uint64_t timer = ++timer_number_;
  timer_.expires_at(when);
  // While unhurried nothing else keeps the session.
  timer_.async_wait(
      [weak = weak_from_this(), keep = unhurried_ ? shared_from_this() : nullptr, timer](ErrorCode error) {
        if (error) return;
        if (const std::shared_ptr<Session> self = weak.lock()) self->OnTimer(timer);
      });
}

void Session::OnTimer(uint64_t timer) {
  if (timer != timer_number_) return;
  if (phase_ == Phase::kExchange) {
    const auto now = steady_clock::now();
    if (is_writing_ && now - last_progress_ > context_.options.write_timeout) {
      context_.stats.slow_readers.fetch_add(1, std::memory_order_relaxed);
      return Shut();
    }
    if (!is_writing_ && now - last_write_ > context_.options.heartbeat) exchange_->Heartbeat();
    return Enter(Phase::kExchange, std::min(context_.options.heartbeat, context_.options.write_timeout) / 3);
  }
  if (phase_ == Phase::kHeader && !stream_.encrypted() && steady_clock::now() < deadline_) return LookForHeader();
  if (phase_ == Phase::kBody) {
    deadline_ = body_start_ + context_.options.body_timeout +
                std::chrono::seconds(parser_->get().body().size() / kSlowBodyBytes);
  }
  if ((phase_ == Phase::kHeader || phase_ == Phase::kBody) && steady_clock::now() < deadline_) return SetPace();
  if (phase_ == Phase::kHeader || phase_ == Phase::kBody)
    context_.stats.timeouts.fetch_add(1, std::memory_order_relaxed);
  Shut();
}

void Session::NextRequest() {
  parser_.emplace();
  if (reading_) {  // OnWatch goes on, at once when the next request has been read already
    ErrorCode ignored;
    if (buffer_.size() > 0) stream_.socket().cancel(ignored);
    return Enter(Phase::kIdle, context_.options.idle_timeout);
  }
  if (buffer_.size() > 0) {
    Enter(Phase::kHeader, context_.options.header_timeout);
    return ReadHeader();
  }
  Enter(Phase::kIdle, context_.options.idle_timeout);
  Watch();
}

// After Enter(kHeader).
void Session::ReadHeader() {
  parser_->header_limit(static_cast<uint32_t>(context_.options.max_header_bytes));
  parser_->body_limit(context_.options.max_body_bytes);
  parser_->eager(false);
  looks_ = false;
  if (!ParseHeader()) ReadMoreHeader();
}

// Whether the header's end, or an error, was found in what has been read: then OnHeader has been called.
bool Session::ParseHeader() {
  if (buffer_.size() == 0) return false;
  ErrorCode error;
  buffer_.consume(parser_->put(buffer_.data(), error));
  if (error == http::error::need_more && buffer_.size() == buffer_.max_size()) error = http::error::buffer_overflow;
  if (error == http::error::need_more) {
    if (!looks_) FirstLook();
    return false;
  }
  if (std::exchange(unhurried_, false)) SetLowWater(1);
  EndPace();
  OnHeader(error);
  return true;
}

void Session::ReadMoreHeader() {
  reading_ = true;
  stream_.async_read_some(buffer_.prepare(beast::read_size(buffer_, kMaxHeaderRead)),
                          [self = shared_from_this()](ErrorCode error, size_t bytes) {
                            self->reading_ = false;
                            if (self->phase_ == Phase::kClosed) return;
                            self->buffer_.commit(bytes);
                            if (error == asio::error::operation_aborted && self->unhurried_) return;
                            if (error)
                              return self->OnHeader(error == asio::error::eof ? http::error::end_of_stream : error);
                            if (!self->ParseHeader() && !self->unhurried_) self->ReadMoreHeader();
                          });
}

void Session::FirstLook() {
  looks_ = true;
  // Senders in step are looked at apart.
  const auto shift = std::hash<Session*>()(this) / sizeof(Session) % (kLookInterval / kLookGrid);
  SetNextLook(kLookInterval + static_cast<int>(shift) * kLookGrid);
}

void Session::SetNextLook(milliseconds delay) {
  const auto since_start = (steady_clock::now() + delay).time_since_epoch();
  SetTimer(std::min(deadline_, steady_clock::time_point((since_start / kLookGrid + 1) * kLookGrid)));
}

void Session::LookForHeader() {
  const bool first = !std::exchange(unhurried_, true);
  SetNextLook(kLookInterval);
  ErrorCode error;
  if (first) {
    SetLowWater(kUnhurriedLowWater);
    stream_.socket().non_blocking(true, error);
    stream_.socket().cancel(error);
    return;
  }
  if (reading_) return;
  do {
    buffer_.commit(stream_.socket().read_some(buffer_.prepare(beast::read_size(buffer_, kMaxHeaderRead)), error));
    if (error == asio::error::would_block) return;
    if (error) return Shut();
  } while (!ParseHeader());
}

void Session::SetPace() {
  if (pace_ == Pace::kQuiet) {
    pace_ = Pace::kMoment;
    SetLowWater(1);
    return SetTimer(std::min(deadline_, steady_clock::now() + kLookGrid));
  }
  const size_t bytes = phase_ == Phase::kBody ? parser_->get().body().size() : 0;
  const bool slow = bytes < paced_bytes_ + kSlowBodyBytes;
  paced_bytes_ = bytes;
  if (!slow) {
    EndPace();
  } else {
    pace_ = Pace::kQuiet;
    SetLowWater(kUnhurriedLowWater);
  }
  SetNextLook(kLookInterval);
}

void Session::EndPace() {
  if (std::exchange(pace_, Pace::kEvery) == Pace::kQuiet) SetLowWater(1);
}

void Session::SetLowWater(int bytes) {
  setsockopt(stream_.socket().native_handle(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

void Session::OnHeader(ErrorCode error) {
  if (phase_ == Phase::kClosed) return;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Refuse(431, fmt::format("the headers are longer than {} bytes", context_.options.max_header_bytes));
  }
  if (error == http::error::body_limit) {
    return Refuse(413, fmt::format("the body is longer than {} bytes", context_.options.max_body_bytes));
  }
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return Refuse(400, "the request is not valid HTTP/1.1: " + error.message());
  }
  if (error) return Shut();
  size_t fields = 0;
  for ([[maybe_unused]] const auto& field : parser_->get()) ++fields;
  if (fields > context_.options.max_header_fields) {
    return Refuse(
        431, fmt::format("the request has {} headers, the limit is {}", fields, context_.options.max_header_fields));
  }
  head_ = TakeHead();
  const auto length = parser_->content_length();
  const int64_t limit = static_cast<int64_t>(context_.options.max_body_bytes);
  const int64_t expected = length
                               ? static_cast<int64_t>(std::min<uint64_t>(*length, context_.options.max_body_bytes + 1))
                               : (parser_->chunked() ? limit : 0);
  if (expected > limit) {
    return Refuse(413, fmt::format("the body has {} bytes, the limit is {}", *length, context_.options.max_body_bytes));
  }
  refusal_ = context_.handler.Admit(head_);
  if (refusal_ && expected > kMaxSkippedBodyBytes) {
    head_unread_ = true;
    head_.keep_alive = false;
    OpenExchange(std::move(head_));
    exchange_->Send(*std::exchange(refusal_, std::nullopt));
    return;
  }
  reserved_body_bytes_ = expected;
  if (context_.pending_body_bytes.fetch_add(expected) + expected > context_.options.max_pending_body_bytes) {
    return Refuse(503, "too many request bodies are being received, try again");
  }
  const bool wants_continue = LowerCase(head_.Header("expect")) == "100-continue";
  Enter(Phase::kBody, context_.options.body_timeout);
  body_start_ = steady_clock::now();
  paced_bytes_ = 0;
  FirstLook();
  if (!wants_continue || expected == 0) return ReadBody();
  writing_ = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(stream_, asio::buffer(writing_), [self = shared_from_this()](ErrorCode write_error, size_t) {
    if (self->phase_ == Phase::kClosed) return;
    if (write_error) return self->Shut();
    self->ReadBody();
  });
}

HttpRequest Session::TakeHead() {
  const auto& message = parser_->get();
  HttpRequest head;
  head.method = std::string(message.method_string());
  const std::string_view target(message.target().data(), message.target().size());
  const size_t question = target.find('?');
  head.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) head.query = std::string(target.substr(question + 1));
  head.http_1_1 = message.version() >= 11;
  head.keep_alive = message.keep_alive();
  for (const auto& field : message) {
    const std::string_view name(field.name_string().data(), field.name_string().size());
    head.headers.emplace_back(LowerCase(name), std::string(field.value()));
  }
  const std::string_view given = head.Header("x-request-id");
  const uint64_t number = context_.next_request.fetch_add(1, std::memory_order_relaxed);
  head.id = IsPlainId(given) ? std::string(given)
                             : fmt::format("{:08x}{:08x}", static_cast<uint32_t>(context_.request_id_seed), number);
  return head;
}

void Session::ReadBody() {
  reading_ = true;
  http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](ErrorCode error, size_t) {
    self->reading_ = false;
    self->OnBody(error);
  });
}

void Session::OnBody(ErrorCode error) {
  if (phase_ == Phase::kClosed) return;
  EndPace();
  if (error == http::error::body_limit) {
    return Refuse(413, fmt::format("the body is longer than {} bytes", context_.options.max_body_bytes));
  }
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return Refuse(400, "the request body is not valid HTTP/1.1: " + error.message());
  }
  if (error) return Shut();
  head_.body = std::move(parser_->get().body());
  OpenExchange(std::move(head_));
  ReleaseBody();
  Watch();
  if (refusal_) {
    exchange_->Send(*std::exchange(refusal_, std::nullopt));
  } else {
    context_.handler.Handle(exchange_);
  }
}

void Session::Refuse(int status, const std::string& message) {
  context_.stats.malformed.fetch_add(1, std::memory_order_relaxed);
  ReleaseBody();
  HttpRequest request = std::move(head_);
  if (request.id.empty()) request.id = "-";
  request.keep_alive = false;
  head_unread_ = true;
  OpenExchange(std::move(request));
  exchange_->Send(context_.handler.MalformedRequest(status, message));
}

void Session::OpenExchange(HttpRequest request) {
  exchange_ = std::make_shared<Exchange>(std::move(request), context_.options.reply, [weak = weak_from_this()] {
    if (const std::shared_ptr<Session> self = weak.lock()) {
      asio::post(self->stream_.get_executor(), [self] { self->Flush(); });
    }
  });
  last_write_ = steady_clock::now();
  Enter(Phase::kExchange, std::min(context_.options.heartbeat, context_.options.write_timeout) / 3);
}

void Session::Watch() {
  if (reading_ || buffer_.size() >= kMaxReadAhead) return;
  reading_ = true;
  stream_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](ErrorCode error, size_t bytes) {
    self->reading_ = false;
    self->OnWatch(error, bytes);
  });
}

void Session::OnWatch(ErrorCode error, size_t bytes) {
  if (phase_ == Phase::kClosed || phase_ == Phase::kLinger) return;
  const bool cancelled = error == asio::error::operation_aborted && phase_ == Phase::kIdle && buffer_.size() > 0;
  if (error && !cancelled) {
    if (phase_ == Phase::kExchange && error == asio::error::eof && exchange_->finished()) {
      return exchange_->DisableKeepAlive();  // a client that sent all it had and waits for the reply
    }
    return Lose(error);
  }
  buffer_.commit(bytes);
  if (phase_ == Phase::kExchange) return Watch();
  if (phase_ != Phase::kIdle) return;
  Enter(Phase::kHeader, context_.options.header_timeout);
  ReadHeader();
}

// The connection has failed; timed_out: its peer acknowledged nothing for write_timeout.
void Session::Lose(ErrorCode error) {
  if (phase_ == Phase::kExchange) {
    auto& count = error == asio::error::timed_out ? context_.stats.slow_readers : context_.stats.disconnects;
    count.fetch_add(1, std::memory_order_relaxed);
  }
  Shut();
}

void Session::Flush() {
  if (phase_ != Phase::kExchange || is_writing_) return;
  Exchange::Taken taken = exchange_->Take();
  if (taken.overflow) {
    context_.stats.slow_readers.fetch_add(1, std::memory_order_relaxed);
    return Shut();
  }
  if (taken.bytes.empty()) {
    if (taken.finished) OnWritten({}, true);
    return;
  }
  writing_ = std::move(taken.bytes);
  is_writing_ = true;
  last_progress_ = steady_clock::now();
  const auto more = [this, done = size_t{0}](ErrorCode error, size_t bytes) mutable -> size_t {
    if (bytes > std::exchange(done, bytes)) last_progress_ = steady_clock::now();
    return error ? 0 : writing_.size() - bytes;
  };
  asio::async_write(stream_, asio::buffer(writing_), more,
                    [self = shared_from_this(), finished = taken.finished](ErrorCode error, size_t) {
                      self->is_writing_ = false;
                      self->OnWritten(error, finished);
                    });
}

void Session::OnWritten(ErrorCode error, bool finished) {
  if (phase_ != Phase::kExchange) return;
  last_write_ = steady_clock::now();
  if (error) return Lose(error);
  if (!finished) return Flush();
  const bool keep_alive = exchange_->keep_alive() && !head_unread_;
  exchange_.reset();
  if (keep_alive) return NextRequest();
  Linger();
}

// Closing with unread input would reset the connection, and the client could lose the reply.
void Session::Linger() {
  ErrorCode ignored;
  if (std::exchange(established_, false)) {
    Enter(Phase::kLinger, kLingerTimeout);
    return stream_.AsyncFarewell([self = shared_from_this()](ErrorCode) {
      if (self->phase_ == Phase::kLinger) self->Linger();
    });
  }
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  if (phase_ != Phase::kLinger) Enter(Phase::kLinger, kLingerTimeout);
  if (reading_) stream_.socket().cancel(ignored);
  stream_.socket().async_read_some(asio::buffer(discarded_), [self = shared_from_this()](ErrorCode error, size_t) {
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->Shut();
    self->Linger();
  });
}

void Session::Shut() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  ++timer_number_;
  timer_.cancel();
  ReleaseBody();
  if (exchange_ != nullptr) exchange_->Close();
  exchange_.reset();
  // Amid a write there is no clean end.
  if (!established_ || is_writing_) return CloseSocket();
  established_ = false;
  timer_.expires_after(kFarewellTimeout);
  timer_.async_wait([self = shared_from_this()](ErrorCode) { self->CloseSocket(); });
  stream_.AsyncFarewell([self = shared_from_this()](ErrorCode) { self->timer_.cancel(); });
}

void Session::CloseSocket() {
  ErrorCode ignored;
  stream_.socket().close(ignored);
}

void Session::ReleaseBody() {
  context_.pending_body_bytes.fetch_sub(reserved_body_bytes_);
  reserved_body_bytes_ = 0;
}

}  // namespace millrace
