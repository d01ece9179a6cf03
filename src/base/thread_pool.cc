#include "base/thread_pool.h"

#include <sched.h>

#include "base/backoff.h"
#include "base/check.h"

namespace millrace {

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

void ThreadPool::RunRaw(RawFn fn, const void* context) {
  if (num_threads() == 1) return fn(context, 0);
  fn_ = fn;
  context_ = context;
  num_running_.store(size_ - 1, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  fn(context, 0);
  Backoff backoff;
  while (const int running = num_running_.load(std::memory_order_acquire)) {
    if (!backoff.Wait()) num_running_.wait(running, std::memory_order_acquire);
  }
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
    fn_(context_, thread);
    if (num_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_running_.notify_one();
  }
}

}  // namespace millrace
