// RequestLog: one JSON line a request on a file descriptor. Never blocks the thread that logs: lines wait in a bounded
// queue for a thread that writes them, and are dropped, and counted, when the reader of the descriptor is too slow.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "base/status.h"
#include "server/http/exchange.h"

namespace millrace {

enum class LogLevel : uint8_t {
  kOff,
  kErrors,
  kRequests
};  // kErrors: replies of 400 and more, failed and abandoned requests

Result<LogLevel> ParseLogLevel(const std::string& name);  // "off", "errors", "requests"
const char* LogLevelName(LogLevel level);

class RequestLog {
 public:
  // fd: -1 writes nothing. Stays open; not owned.
  RequestLog(int fd, LogLevel level);
  ~RequestLog();  // writes what is queued
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  void Write(const HttpRequest& request, const RequestEnd& end, std::chrono::system_clock::time_point start);
  LogLevel level() const { return level_; }
  void set_level(LogLevel level) { level_ = level; }
  int64_t num_dropped() const { return num_dropped_; }

 private:
  static constexpr size_t kMaxQueuedBytes = size_t{4} << 20;

  void Loop();

  const int fd_;
  std::atomic<LogLevel> level_;
  std::atomic<int64_t> num_dropped_{0};
  std::mutex mutex_;
  std::condition_variable ready_;
  std::string queued_;
  bool stopping_ = false;
  std::thread thread_;
};

// The line of a request, without its end.
std::string RequestLine(const HttpRequest& request, const RequestEnd& end, std::chrono::system_clock::time_point start,
                        double seconds);

}  // namespace millrace
