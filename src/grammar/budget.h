// Budget: what one grammar compilation may spend. Every loop that an input can make long charges it.
// Owned by one compilation, used from one thread.
// The bounds that an input meets are counts, so that a grammar is accepted on a busy machine exactly when it is on an
// idle one. The clock only guards against a machine that stands still.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/status.h"

namespace millrace::grammar {

struct CompileLimits {
  // Elementary steps (a transition, a comparison): about 2 s of one core of a server of 2024.
  uint64_t max_steps = 400'000'000;
  size_t max_bytes = size_t{256} << 20;
  double max_seconds = 60.0;
};

class Budget {
 public:
  explicit Budget(const CompileLimits& limits)
      : limits_(limits),
        deadline_(std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                         std::chrono::duration<double>(limits.max_seconds))) {}

  // Accounts for bytes of lasting memory and for the steps that filling them takes. Once it failed it keeps failing.
  [[nodiscard]] bool Charge(size_t bytes) {
    used_bytes_ += bytes;
    if (used_bytes_ > limits_.max_bytes) exceeded_ = true;
    Spend(1 + bytes / 8);
    return !exceeded_;
  }
  // Accounts for steps alone; whoever loops on asks exceeded().
  void Spend(uint64_t steps) {
    used_steps_ += steps;
    if (used_steps_ > limits_.max_steps) exceeded_ = true;
    if (used_steps_ < look_at_) return;
    look_at_ = used_steps_ + kStepsBetweenLooks;
    if (std::chrono::steady_clock::now() > deadline_) exceeded_ = true;
  }
  bool exceeded() const { return exceeded_; }
  size_t used_bytes() const { return used_bytes_; }
  uint64_t used_steps() const { return used_steps_; }

  Status Error() const {
    return Unsupported("the grammar is too large: expected at most {} million steps and {} MiB to compile it",
                       limits_.max_steps / 1'000'000, limits_.max_bytes >> 20);
  }

 private:
  static constexpr uint64_t kStepsBetweenLooks = 100'000;
  const CompileLimits limits_;
  const std::chrono::steady_clock::time_point deadline_;
  size_t used_bytes_ = 0;
  uint64_t used_steps_ = 0;
  uint64_t look_at_ = kStepsBetweenLooks;
  bool exceeded_ = false;
};

}  // namespace millrace::grammar
