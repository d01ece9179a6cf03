// UnitRanges: which thread does which units of a parallel region.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/check.h"

namespace millrace::kernels {

// Every thread has a range of neighbouring units and takes runs from its front, so that what belongs to them is read
// from memory in one stream; when it is empty, the thread takes from the back of the longest range, of which it leaves
// the others their share.
class UnitRanges {
 public:
  // A run from a thread's own range is of at most `max_run` units, and of 3/4 of what is left there.
  UnitRanges(int64_t num_units, int num_threads, int64_t max_run)
      : num_threads_(num_threads), num_ranges_(std::min(num_threads, kMaxRanges)), max_run_(max_run) {
    CHECK_LT(num_units, int64_t{1} << 32);
    for (int i = 0; i < num_ranges_; ++i) {
      ranges_[i].bounds.store(Pack(num_units * i / num_ranges_, num_units * (i + 1) / num_ranges_),
                              std::memory_order_relaxed);
    }
  }

  // The next run [*begin, *end) of a thread; false when nothing is left. By any thread.
  bool Take(int thread, int64_t* begin, int64_t* end) {
    std::atomic<uint64_t>& own = ranges_[thread % num_ranges_].bounds;
    uint64_t bounds = own.load(std::memory_order_relaxed);
    while (const int64_t left = Left(bounds)) {
      const int64_t taken = std::clamp<int64_t>(left * 3 / 4, 1, max_run_);
      *begin = Begin(bounds);
      *end = *begin + taken;
      if (own.compare_exchange_weak(bounds, Pack(*end, End(bounds)), std::memory_order_relaxed)) return true;
    }
    return TakeFromLongest(begin, end);
  }

 private:
  static constexpr int kMaxRanges = 64;
  struct alignas(64) Range {
    std::atomic<uint64_t> bounds{0};
  };

  static uint64_t Pack(int64_t begin, int64_t end) {
    return static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(begin);
  }
  static int64_t Begin(uint64_t bounds) { return static_cast<int64_t>(bounds & 0xffffffffu); }
  static int64_t End(uint64_t bounds) { return static_cast<int64_t>(bounds >> 32); }
  static int64_t Left(uint64_t bounds) { return End(bounds) - Begin(bounds); }

  bool TakeFromLongest(int64_t* begin, int64_t* end) {
    while (true) {
      Range* longest = &ranges_[0];
      uint64_t bounds = longest->bounds.load(std::memory_order_relaxed);
      for (int i = 1; i < num_ranges_; ++i) {
        const uint64_t other = ranges_[i].bounds.load(std::memory_order_relaxed);
        if (Left(other) > Left(bounds)) longest = &ranges_[i], bounds = other;
      }
      if (Left(bounds) == 0) return false;
      *end = End(bounds);
      *begin = *end - (Left(bounds) + num_threads_ - 1) / num_threads_;
      if (longest->bounds.compare_exchange_weak(bounds, Pack(Begin(bounds), *begin), std::memory_order_relaxed))
        return true;
    }
  }

  const int num_threads_;
  const int num_ranges_;
  const int64_t max_run_;
  Range ranges_[kMaxRanges];
};

}  // namespace millrace::kernels
