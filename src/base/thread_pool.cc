#include "base/thread_pool.h"

#include <sched.h>

#include "base/backoff.h"
#include "base/check.h"

namespace millrace {
namespace {

// Bits of a region.
constexpr uint64_t kClosed = uint64_t{1} << 31;  // nobody joins any more
constexpr uint64_t kForAll = uint64_t{1} << 30;  // every worker belongs to it, whenever it comes
constexpr uint64_t kCount = kForAll - 1;

}  // namespace

int NumUsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

ThreadPool::ThreadPool(int num_threads) : size_(num_threads) {
  CHECK_GE(num_threads, 1);
  for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this, i] { WorkerLoop(i); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunRaw(RawFn fn, const void* context, bool on_all) {
  if (num_threads() == 1) return fn(context, 0);
  fn_ = fn;
  context_ = context;
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  const uint64_t expected = on_all ? kForAll | kClosed | static_cast<uint64_t>(size_ - 1) : 0;
  region_.store(uint64_t{epoch} << 32 | expected, std::memory_order_release);
  epoch_.store(epoch, std::memory_order_release);
  epoch_.notify_all();
  fn(context, 0);
  uint64_t region = region_.fetch_or(kClosed, std::memory_order_acquire) | kClosed;
  for (Backoff backoff; (region & kCount) != 0; region = region_.load(std::memory_order_acquire)) {
    if (!backoff.Wait()) region_.wait(region, std::memory_order_acquire);
  }
}

bool ThreadPool::Enter(uint32_t epoch) {
  uint64_t region = region_.load(std::memory_order_acquire);
  while (region >> 32 == epoch) {
    if ((region & kForAll) != 0) return true;  // counted from the beginning
    if ((region & kClosed) != 0) return false;
    if (region_.compare_exchange_weak(region, region + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      return true;
  }
  return false;
}

void ThreadPool::Leave() {
  const uint64_t region = region_.fetch_sub(1, std::memory_order_acq_rel);
  if ((region & (kClosed | kCount)) == (kClosed | 1)) region_.notify_one();
}

void ThreadPool::WorkerLoop(int thread) {
  uint32_t seen = 0;
  while (true) {
    uint32_t epoch;
    Backoff backoff;
    while ((epoch = epoch_.load(std::memory_order_acquire)) == seen) {
      if (!backoff.Wait()) epoch_.wait(seen, std::memory_order_acquire);
    }
    seen = epoch;
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (!Enter(epoch)) continue;
    fn_(context_, thread);
    Leave();
  }
}

}  // namespace millrace
