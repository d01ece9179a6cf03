// Status and Result<T>: how everything that can fail because of the outside world reports it.
// A message is one sentence that says what was expected, what was found, and which option changes it.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace millrace {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,    // the caller's input is wrong: HTTP 400, exit status 1
  kNotFound,           // HTTP 404
  kUnsupported,        // valid, but this build or model can't do it
  kOutOfRange,         // a length or value beyond its bound
  kResourceExhausted,  // memory, queue or quota is full: HTTP 429
  kDeadlineExceeded,   // HTTP 504
  kUnavailable,        // a device, file or peer is not there: HTTP 503
  kDataLoss,           // a file is damaged
  kCancelled,
  kInternal,
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same status with "prefix: " before its message, to name the file or field on the way up.
  Status WithPrefix(std::string_view prefix) const {
    return ok() ? *this : Status(code_, fmt::format("{}: {}", prefix, message_));
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() {
  return Status();
}

// Error constructors with fmt formatting: InvalidArgument("top_p is {}, expected 0 < top_p <= 1", p).
#define MILLRACE_DEFINE_ERROR(Name)                                                       \
  template <typename... Args>                                                             \
  Status Name(fmt::format_string<Args...> format, Args&&... args) {                       \
    return Status(StatusCode::k##Name, fmt::format(format, std::forward<Args>(args)...)); \
  }
MILLRACE_DEFINE_ERROR(InvalidArgument)
MILLRACE_DEFINE_ERROR(NotFound)
MILLRACE_DEFINE_ERROR(Unsupported)
MILLRACE_DEFINE_ERROR(OutOfRange)
MILLRACE_DEFINE_ERROR(ResourceExhausted)
MILLRACE_DEFINE_ERROR(DeadlineExceeded)
MILLRACE_DEFINE_ERROR(Unavailable)
MILLRACE_DEFINE_ERROR(DataLoss)
MILLRACE_DEFINE_ERROR(Cancelled)
MILLRACE_DEFINE_ERROR(Internal)
#undef MILLRACE_DEFINE_ERROR

// A value or the Status that says why there is none. Reading the value of an error is a bug and aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit, so that `return value;` works
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit, so that `return InvalidArgument(..)` works
    CHECK(!status_.ok(), "a Result needs a value or an error");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    CHECK(ok(), "{}", status_.message());
    return *value_;
  }
  const T& value() const& {
    CHECK(ok(), "{}", status_.message());
    return *value_;
  }
  T&& value() && {
    CHECK(ok(), "{}", status_.message());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

#define RETURN_IF_ERROR(expr)                                        \
  do {                                                               \
    ::millrace::Status return_if_error_status = (expr);              \
    if (!return_if_error_status.ok()) return return_if_error_status; \
  } while (0)

#define MILLRACE_CONCAT_INNER(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_INNER(a, b)
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_IMPL(MILLRACE_CONCAT(result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                          \
  if (!result.ok()) return result.status();      \
  lhs = std::move(result).value()

}  // namespace millrace
