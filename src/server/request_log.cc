#include "server/request_log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "server/json.h"

namespace millrace {
namespace {

Json Milliseconds(double seconds) {
  return seconds < 0 ? Json(nullptr) : Json(std::round(seconds * 1e6) / 1e3);
}

bool IsTrouble(const RequestEnd& end) {
  return end.status >= 400 || !end.complete || !end.notes.error.empty();
}

}  // namespace

Result<LogLevel> ParseLogLevel(const std::string& name) {
  for (const LogLevel level : {LogLevel::kOff, LogLevel::kErrors, LogLevel::kRequests}) {
    if (name == LogLevelName(level)) return level;
  }
  return InvalidArgument("level is {}, expected off, errors or requests", name.empty() ? "missing" : name);
}

const char* LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kOff:
      return "off";
    case LogLevel::kErrors:
      return "errors";
    case LogLevel::kRequests:
      return "requests";
  }
  return "";
}

std::string RequestLine(const HttpRequest& request, const RequestEnd& end, std::chrono::system_clock::time_point start,
                        double seconds) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(start);
  Json line = {{"time", fmt::format("{:%FT%T}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)))},
               {"event", "request"},
               {"request_id", request.id},
               {"method", request.method},
               {"path", ValidUtf8(request.path.substr(0, 256))},
               {"status", end.status},
               {"complete", end.complete},
               {"duration_ms", Milliseconds(seconds)}};
  std::string& time = line["time"].get_ref<std::string&>();
  time.insert(time.size() - 1, fmt::format(".{:03}", whole.time_since_epoch().count() % 1000));
  if (!request.tenant.empty()) line["tenant"] = request.tenant;
  const RequestNotes& notes = end.notes;
  if (notes.prompt_tokens >= 0) {
    line["first_token_ms"] = Milliseconds(notes.first_token_s);
    line["prompt_tokens"] = notes.prompt_tokens;
    line["cached_tokens"] = notes.cached_tokens;
    line["completion_tokens"] = notes.completion_tokens;
    line["finish_reason"] = notes.finish_reason;
  }
  if (!notes.error.empty()) line["error"] = notes.error;
  return DumpJson(line);
}

RequestLog::RequestLog(int fd, LogLevel level) : fd_(fd), level_(level) {
  if (fd_ >= 0) thread_ = std::thread([this] { Loop(); });
}

RequestLog::~RequestLog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void RequestLog::Write(const HttpRequest& request, const RequestEnd& end, std::chrono::system_clock::time_point start) {
  const LogLevel level = level_;
  if (fd_ < 0 || level == LogLevel::kOff || (level == LogLevel::kErrors && !IsTrouble(end))) return;
  const double seconds = std::chrono::duration<double>(std::chrono::system_clock::now() - start).count();
  const std::string line = RequestLine(request, end, start, seconds) + '\n';
  {
    std::lock_guard lock(mutex_);
    if (queued_.size() + line.size() > kMaxQueuedBytes) {
      ++num_dropped_;
      return;
    }
    queued_ += line;
  }
  ready_.notify_one();
}

void RequestLog::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
    if (queued_.empty()) return;
    std::string lines;
    lines.swap(queued_);
    lock.unlock();
    for (size_t done = 0; done < lines.size();) {
      const ssize_t written = ::write(fd_, lines.data() + done, lines.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) break;  // nobody reads any more
      done += static_cast<size_t>(written);
    }
    lock.lock();
  }
}

}  // namespace millrace
