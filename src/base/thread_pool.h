// ThreadPool: a fixed set of threads that run one parallel region at a time, with barriers that spin briefly and then
// park. Kernels split their work by index ranges that depend on sizes alone, so results never depend on the number of
// threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace millrace {

// Invariants:
//   1. At most one Run is active at a time; Run is called by the owning thread only, never from inside a region.
//   2. The caller is worker 0; a pool of n threads owns n - 1 std::threads.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }
  // Threads that the next region has.
  int num_threads() const { return alone_ ? 1 : size_; }
  // While set, regions run on the caller alone: for work that is done before the others could be woken. By the owning
  // thread.
  void set_alone(bool alone) { alone_ = alone; }

  // Calls fn(thread_index) once on every thread, 0 .. num_threads - 1, and returns when all are done. fn must not
  // throw.
  template <typename Fn>
  void Run(const Fn& fn) {
    RunRaw(Call<Fn>, &fn, true);
  }

  // The same without the threads that come when the caller's fn has returned: for work that whoever is there takes
  // until none is left. Nobody waits for a thread that has no core at the moment, as on a machine that others use too.
  template <typename Fn>
  void RunOnReady(const Fn& fn) {
    RunRaw(Call<Fn>, &fn, false);
  }

  // Calls fn(begin, end) over a partition of [0, n) into pieces of at most `grain`, handed out dynamically.
  template <typename Fn>
  void ParallelFor(int64_t n, int64_t grain, const Fn& fn) {
    if (n <= 0) return;
    if (num_threads() == 1 || n <= grain) {
      for (int64_t begin = 0; begin < n; begin += grain) fn(begin, begin + grain < n ? begin + grain : n);
      return;
    }
    std::atomic<int64_t> next{0};
    RunOnReady([&](int) {
      for (int64_t begin; (begin = next.fetch_add(grain, std::memory_order_relaxed)) < n;) {
        fn(begin, begin + grain < n ? begin + grain : n);
      }
    });
  }

 private:
  using RawFn = void (*)(const void* context, int thread);
  template <typename Fn>
  static void Call(const void* context, int thread) {
    (*static_cast<const Fn*>(context))(thread);
  }
  void RunRaw(RawFn fn, const void* context, bool on_all);
  void WorkerLoop(int thread);
  // Joins the region of that epoch; false when it is over, or its caller no longer waits for anybody who is not there.
  bool Enter(uint32_t epoch);
  void Leave();

  const int size_;
  bool alone_ = false;
  RawFn fn_ = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> epoch_{0};  // incremented to start a region; workers wait on it
  // The region: its epoch in the high half, kClosed and kForAll, and how many workers its caller has to wait for.
  alignas(64) std::atomic<uint64_t> region_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

// Cores this process may use (its affinity mask), at least 1.
int NumUsableCores();

}  // namespace millrace
