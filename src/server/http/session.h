// Session: one connection. Internal to http/; the only header with Beast in it.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <optional>
#include <string>

#include "server/http/http_server.h"
#include "server/http/stream.h"

namespace millrace {

// What all sessions of a server share; outlives them.
struct SessionContext {
  const HttpServerOptions& options;
  HttpHandler& handler;
  HttpServerStats& stats;
  boost::asio::ssl::context* tls = nullptr;  // null: plain HTTP
  std::atomic<int64_t> pending_body_bytes{0};
  std::atomic<uint64_t> next_request{1};
  uint64_t request_id_seed = 0;
};

// Invariants:
// 1. All members are touched on the thread of the socket's event loop alone.
// 2. At most one read and one write are under way. While an exchange is open the read is the one that sees the client
// leave;
//    what it reads are the next requests' first bytes, at most kMaxReadAhead of them.
// 3. One timer runs: the deadline of the phase, or the next look at a header that comes in drips.
// 4. While unhurried_ no read is under way and the kernel reports no bytes: they are looked for once a second.
// Thousands of senders that
//    drip a header would otherwise wake a thread for every byte. Where what has come can't be looked at from outside,
//    encrypted or in a body, the read stays under way and the kernel reports bytes in one moment of each second
//    (pace_).
// 5. A peer that vanishes without a word is found by the kernel: what it does not acknowledge for write_timeout closes
// the connection,
//    and a silent one is asked after heartbeat.
class Session : public std::enable_shared_from_this<Session> {
 public:
  static constexpr size_t kMaxReadAhead = size_t{32} << 10;

  Session(boost::asio::ip::tcp::socket socket, SessionContext& context);
  ~Session();
  void Start();
  // From any thread.
  void Close();

 private:
  // What the kernel reports: bytes as they come; none, unless they are many; for a moment, those that have come.
  enum class Pace : uint8_t { kEvery, kQuiet, kMoment };
  enum class Phase : uint8_t { kIdle, kHeader, kBody, kExchange, kLinger, kClosed };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using ErrorCode = boost::system::error_code;

  void Enter(Phase phase, std::chrono::milliseconds timeout);
  void SetTimer(std::chrono::steady_clock::time_point when);
  void OnTimer(uint64_t timer);
  void NextRequest();
  void BeginConnection();
  void ReadHeader();
  bool ParseHeader();
  void ReadMoreHeader();
  void SetNextLook(std::chrono::milliseconds delay);
  void FirstLook();
  void LookForHeader();
  void SetPace();
  void EndPace();
  void SetLowWater(int bytes);
  void FindVanishedPeers();
  void OnHeader(ErrorCode error);
  void ReadBody();
  void OnBody(ErrorCode error);
  void Refuse(int status, const std::string& message);
  HttpRequest TakeHead();
  void OpenExchange(HttpRequest request);
  void Watch();
  void OnWatch(ErrorCode error, size_t bytes);
  void Flush();
  void OnWritten(ErrorCode error, bool finished);
  void Lose(ErrorCode error);
  void Linger();
  void Shut();
  void CloseSocket();
  void ReleaseBody();

  Stream stream_;
  SessionContext& context_;
  boost::asio::steady_timer timer_;
  uint64_t timer_number_ = 0;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  HttpRequest head_;
  std::optional<HttpResponse> refusal_;  // of the request whose body is being read
  std::shared_ptr<Exchange> exchange_;
  std::string writing_;
  std::array<char, 1024> discarded_;
  Phase phase_ = Phase::kIdle;
  bool reading_ = false, is_writing_ = false, head_unread_ = false;
  bool looks_ = false;  // the timer of this header's next look is set
  bool unhurried_ = false;
  Pace pace_ = Pace::kEvery;
  bool established_ = false;  // encrypted, the handshake is done and the farewell not said
  int64_t reserved_body_bytes_ = 0;
  size_t paced_bytes_ = 0;                          // of the body, at the last look
  std::chrono::steady_clock::time_point deadline_;  // of the phase
  std::chrono::steady_clock::time_point body_start_, last_progress_, last_write_;
};

}  // namespace millrace
