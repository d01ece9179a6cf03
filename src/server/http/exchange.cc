#include "server/http/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace millrace {
namespace {

constexpr size_t kSmallBacklogBytes = size_t{16} << 10;
constexpr size_t kChunkFrameBytes = 32;

}  // namespace

std::string_view StatusText(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";
  }
}

std::string_view HttpRequest::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

Exchange::Exchange(HttpRequest request, Limits limits, std::function<void()> wake)
    : request_(std::move(request)), limits_(limits), wake_(std::move(wake)), keep_alive_(request_.keep_alive) {}

void Exchange::AddHeader(std::string name, std::string value) {
  std::lock_guard lock(mutex_);
  headers_.emplace_back(std::move(name), std::move(value));
}

std::string Exchange::HeadLocked(int status, std::string_view content_type) const {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nX-Request-Id: {}\r\nConnection: {}\r\n", status, StatusText(status),
                                 request_.id, keep_alive_ ? "keep-alive" : "close");
  if (!content_type.empty()) fmt::format_to(std::back_inserter(head), "Content-Type: {}\r\n", content_type);
  for (const auto& [name, value] : headers_) fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  return head;
}

// The end's callback with what it is told; it is run outside the lock.
std::function<void()> Exchange::EndLocked(bool complete) {
  end_.complete = complete;
  return [callback = std::exchange(on_end_, nullptr), end = std::move(end_)] {
    if (callback) callback(end);
  };
}

bool Exchange::Send(HttpResponse response) {
  std::function<void()> ended;
  {
    std::lock_guard lock(mutex_);
    if (started_ || closed_) return false;
    started_ = finished_ = true;
    end_.status = response.status;
    for (auto& header : response.headers) headers_.push_back(std::move(header));
    buffered_ = HeadLocked(response.status, response.content_type);
    fmt::format_to(std::back_inserter(buffered_), "Content-Length: {}\r\n\r\n", response.body.size());
    if (request_.method != "HEAD") buffered_ += response.body;
    on_close_ = nullptr;
    ended = EndLocked(true);
  }
  ended();
  wake_();
  return true;
}

void Exchange::Note(RequestNotes notes) {
  std::lock_guard lock(mutex_);
  end_.notes = std::move(notes);
}

void Exchange::OnEnd(std::function<void(const RequestEnd& end)> callback) {
  std::lock_guard lock(mutex_);
  on_end_ = std::move(callback);
}

void Exchange::ExpectStream() {
  std::lock_guard lock(mutex_);
  streams_ = true;
}

void Exchange::StartStreamLocked() {
  if (started_) return;
  started_ = true;
  end_.status = 200;
  if (!request_.http_1_1) keep_alive_ = false;
  buffered_ =
      HeadLocked(200, "text/event-stream; charset=utf-8") + "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n";
  buffered_ += request_.http_1_1 ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n";
}

void Exchange::AppendChunkLocked(std::string_view bytes) {
  // A backlog grows in one allocation: the halves that doubling leaves behind are memory of every slow reader.
  const size_t needed = buffered_.size() + bytes.size() + kChunkFrameBytes;
  if (needed > buffered_.capacity() && needed > kSmallBacklogBytes)
    buffered_.reserve(std::max(needed, limits_.backlog_bytes + limits_.backlog_bytes / 4));
  if (request_.http_1_1) {
    fmt::format_to(std::back_inserter(buffered_), "{:x}\r\n{}\r\n", bytes.size(), bytes);
  } else {
    buffered_ += bytes;
  }
  overflow_ = buffered_.size() > limits_.max_buffered_bytes;
}

void Exchange::Write(std::string_view events) {
  if (events.empty()) return;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || finished_ || overflow_) return;
    StartStreamLocked();
    AppendChunkLocked(events);
  }
  wake_();
}

void Exchange::Heartbeat() {
  {
    std::lock_guard lock(mutex_);
    if (closed_ || finished_ || overflow_ || !streams_ || !buffered_.empty()) return;
    StartStreamLocked();
    AppendChunkLocked(": ping\n\n");
  }
  wake_();
}

void Exchange::Finish() {
  std::function<void()> ended;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || finished_) return;
    StartStreamLocked();
    finished_ = true;
    if (request_.http_1_1) buffered_ += "0\r\n\r\n";
    on_close_ = nullptr;
    ended = EndLocked(true);
  }
  ended();
  wake_();
}

void Exchange::OnClose(std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    if (!closed_) {
      on_close_ = std::move(callback);
      return;
    }
  }
  callback();
}

bool Exchange::finished() {
  std::lock_guard lock(mutex_);
  return finished_;
}

bool Exchange::backlogged() {
  std::lock_guard lock(mutex_);
  return buffered_.size() > limits_.backlog_bytes;
}

void Exchange::OnDrained(std::function<void()> callback) {
  std::lock_guard lock(mutex_);
  on_drained_ = std::move(callback);
}

Exchange::Taken Exchange::Take() {
  Taken taken;
  std::function<void()> drained;
  {
    std::lock_guard lock(mutex_);
    taken.bytes.swap(buffered_);
    taken.finished = finished_;
    taken.overflow = overflow_;
    if (taken.bytes.size() > limits_.backlog_bytes) drained = on_drained_;
  }
  if (drained) drained();
  return taken;
}

void Exchange::Close() {
  std::function<void()> callback, ended;
  bool finished;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    buffered_.clear();
    callback = std::exchange(on_close_, nullptr);
    on_drained_ = nullptr;
    finished = finished_;
  }
  if (callback) callback();  // it may still note something
  if (finished) return;
  {
    std::lock_guard lock(mutex_);
    ended = EndLocked(false);
  }
  ended();
}

}  // namespace millrace
