// Budget: what one grammar compilation may spend. Every loop that an input can make long charges it.
// Owned by one compilation, used from one thread.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/status.h"

namespace millrace::grammar {

struct CompileLimits {
  double max_seconds = 2.0;
  size_t max_bytes = size_t{256} << 20;
};

class Budget {
 public:
  explicit Budget(const CompileLimits& limits)
      : limits_(limits),
        deadline_(std::chrono::steady_clock::now() +
                  std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                      std::chrono::duration<double>(limits.max_seconds))) {}

  // Accounts for bytes of lasting memory and for one unit of work. Once it failed it keeps failing.
  [[nodiscard]] bool Charge(size_t bytes) {
    used_bytes_ += bytes;
    if (used_bytes_ > limits_.max_bytes) exceeded_ = true;
    if ((++calls_ & 15) == 0 && std::chrono::steady_clock::now() > deadline_) exceeded_ = true;
    return !exceeded_;
  }
  bool exceeded() const { return exceeded_; }
  size_t used_bytes() const { return used_bytes_; }

  Status Error() const {
    return Unsupported("the grammar is too large: expected at most {} s and {} MiB to compile it", limits_.max_seconds,
                       limits_.max_bytes >> 20);
  }

 private:
  const CompileLimits limits_;
  const std::chrono::steady_clock::time_point deadline_;
  size_t used_bytes_ = 0;
  size_t calls_ = 0;
  bool exceeded_ = false;
};

}  // namespace millrace::grammar
