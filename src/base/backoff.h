// Backoff: how a thread waits for a moment before it parks. First it only pauses, for what a neighbour finishes within
// a few microseconds; then it also offers its core to others, so that on a busy machine waiting threads don't keep the
// cores from those they wait for.
#pragma once

#include <sched.h>

namespace millrace {

class Backoff {
 public:
  // Waits for a moment; false when the caller has waited long enough and should park.
  bool Wait() {
    if (rounds_ >= kPauses + kYields) return false;
    if (rounds_++ < kPauses) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      sched_yield();
    }
    return true;
  }

 private:
  // About 5 us and 50 us on current cores: longer than the gap between two ops of a step.
  static constexpr int kPauses = 150;
  static constexpr int kYields = 120;
  int rounds_ = 0;
};

}  // namespace millrace
