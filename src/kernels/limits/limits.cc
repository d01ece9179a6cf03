#include "kernels/limits/limits.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>

#include "tensor/buffer.h"

namespace millrace::kernels {
namespace {

constexpr int kRuns = 7;

double Seconds(bool cpu_time) {
  timespec now;
  clock_gettime(cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Work per second of the best of some runs of fn on every thread, `work` being that of all threads together.
template <typename Fn>
double BestRate(ThreadPool& pool, bool cpu_time, double work, const Fn& fn) {
  double best = 0.0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = Seconds(cpu_time);
    pool.Run(fn);
    best = std::max(best, work / (Seconds(cpu_time) - start));
  }
  return best;
}

double Peak(ThreadPool& pool, bool cpu_time, const PeakLoop& loop) {
  if (loop.run == nullptr) return 0.0;
  constexpr long kIterations = 2'000'000;
  const double work = loop.ops_per_iteration * kIterations * pool.num_threads();
  return BestRate(pool, cpu_time, work, [&](int) { loop.run(kIterations); }) * 1e-9;
}

double ReadRate(ThreadPool& pool, bool cpu_time, long (*read)(const void*, long)) {
  constexpr int64_t kBytes = 512 << 20;
  Result<Buffer> buffer = Buffer::Allocate(kBytes);
  if (!buffer.ok()) return 0.0;
  const int64_t share = kBytes / pool.num_threads() / 4096 * 4096;
  std::byte* data = buffer->data();
  pool.Run([&](int thread) { std::memset(data + thread * share, 1, static_cast<size_t>(share)); });
  std::atomic<long> sink{0};
  const double work = static_cast<double>(share) * pool.num_threads();
  return BestRate(pool, cpu_time, work,
                  [&](int thread) { sink += read(data + thread * share, static_cast<long>(share)); }) *
         1e-9;
}

const PeakLoops& LoopsOf(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kPeakLoopsAvx512;
  if (isa == Isa::kAvx2) return kPeakLoopsAvx2;
#endif
  return kPeakLoopsGeneric;
}

long ReadGeneric(const void* data, long bytes) {
  const auto* words = static_cast<const long*>(data);
  long sum[4] = {};
  for (long i = 0; i < bytes / 8; i += 4) {
    for (int lane = 0; lane < 4; ++lane) sum[lane] += words[i + lane];
  }
  return sum[0] + sum[1] + sum[2] + sum[3];
}

}  // namespace

const PeakLoops kPeakLoopsGeneric = {{}, {}, {}, ReadGeneric};

MachineLimits MeasureLimits(ThreadPool& pool, Isa isa, bool cpu_time) {
  const PeakLoops& loops = LoopsOf(isa);
  MachineLimits limits;
  limits.read_gb_per_s = MeasureReadRate(pool, isa, cpu_time);
  limits.f32_gflop_per_s = Peak(pool, cpu_time, loops.f32);
  limits.bf16_gflop_per_s = Peak(pool, cpu_time, loops.bf16);
  limits.int8_gop_per_s = Peak(pool, cpu_time, loops.int8);
  return limits;
}

double MeasureReadRate(ThreadPool& pool, Isa isa, bool cpu_time) {
  return ReadRate(pool, cpu_time, LoopsOf(isa).read);
}

}  // namespace millrace::kernels
