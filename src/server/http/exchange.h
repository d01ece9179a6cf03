// Exchange: one HTTP request and its reply. The reply may be written from any thread and never blocks: bytes are
// appended to a bounded buffer which the connection takes whole whenever its last write is done, so tokens coalesce for
// slow readers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

struct HttpRequest {
  std::string method;
  std::string path;  // without the query
  std::string query;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string id;      // the client's X-Request-Id when it is well-formed, else a new one
  std::string tenant;  // set by the handler: whose API key it was
  bool keep_alive = true;
  bool http_1_1 = true;  // chunked replies are understood

  // Empty when the header is absent.
  std::string_view Header(std::string_view lower_case_name) const;
};

// What is said about a request in the log besides its status; times in seconds, negative where there is none.
struct RequestNotes {
  double first_token_s = -1.0;  // from the request to its first token
  int64_t prompt_tokens = -1;   // -1: nothing was generated
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  std::string finish_reason;  // of the choice that ended last; "" when none did
  std::string error;
};

// How a request ended.
struct RequestEnd {
  int status = 0;  // 0: the client left before a reply was started
  bool complete = false;
  RequestNotes notes;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
};

// Invariants:
// 1. The reply starts once, with Send or with the first Write, Heartbeat or Finish of an event stream.
// 2. After Close nothing is kept, and the close callback has run at most once; it doesn't run when the reply was
// finished before.
// 3. What is buffered is at most max_buffered_bytes; beyond, the reader is too slow, nothing more is
//    kept and the connection closes the exchange. Who writes an event stream should pause while backlogged().
class Exchange {
 public:
  struct Limits {
    size_t max_buffered_bytes = size_t{8} << 20;
    size_t backlog_bytes = size_t{128} << 10;  // of an event stream
  };
  // `wake` is called, from any thread, when there is something to take.
  Exchange(HttpRequest request, Limits limits, std::function<void()> wake);

  const HttpRequest& request() const { return request_; }

  // A header of the reply, added before it starts.
  void AddHeader(std::string name, std::string value);
  // The whole reply; false when the reply has started before.
  bool Send(HttpResponse response);
  // Announces an event stream: from now on Heartbeat may start the reply.
  void ExpectStream();
  // Appends whole server-sent events; starts the reply if need be.
  void Write(std::string_view events);
  // Whether more than backlog_bytes have not been taken.
  bool backlogged();
  // Runs `callback`, on the connection's thread, whenever a backlog has been taken.
  void OnDrained(std::function<void()> callback);
  // Ends an event stream.
  void Finish();
  // Replaces the notes; before the reply is finished.
  void Note(RequestNotes notes);
  // Runs `callback` once, when the reply is finished or the client has left.
  void OnEnd(std::function<void(const RequestEnd& end)> callback);
  // Runs `callback` when the client goes away or is too slow before the reply is finished; at once if that has
  // happened.
  void OnClose(std::function<void()> callback);

  // For the connection.
  struct Taken {
    std::string bytes;
    bool finished = false;  // the reply ends with these bytes
    bool overflow = false;  // the reader was too slow
  };
  Taken Take();
  void Heartbeat();
  void Close();
  bool finished();
  bool keep_alive() const { return keep_alive_; }
  void DisableKeepAlive() { keep_alive_ = false; }

 private:
  void StartStreamLocked();
  std::function<void()> EndLocked(bool complete);
  void AppendChunkLocked(std::string_view bytes);
  std::string HeadLocked(int status, std::string_view content_type) const;

  const HttpRequest request_;
  const Limits limits_;
  const std::function<void()> wake_;
  std::atomic<bool> keep_alive_;

  std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::string buffered_;
  bool streams_ = false, started_ = false, finished_ = false, closed_ = false, overflow_ = false;
  std::function<void()> on_close_, on_drained_;
  std::function<void(const RequestEnd&)> on_end_;
  RequestEnd end_;
};

// "OK" for 200; "" for a status that has no name here.
std::string_view StatusText(int status);

}  // namespace millrace
