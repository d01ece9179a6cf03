#include "cuda/launch.h"
#include "cuda/limits.h"

namespace millrace::cuda {
namespace {

__global__ void __launch_bounds__(kMmaPeakThreads, 2) MmaPeak(MmaPeakParams p) {
  uint32_t a[4], b[2];
  uint32_t noise = 0x9e3779b9u * (blockIdx.x * kMmaPeakThreads + threadIdx.x + 1);
  const auto next = [&] {
    noise = noise * 1664525u + 1013904223u;
    return (noise & 0x807f807fu) | 0x3f003f00u;  // two bf16 of magnitude 1/2 to 1
  };
  for (uint32_t& word : a) word = next();
  for (uint32_t& word : b) word = next();
  float acc[kMmaPeakChains][4] = {};
  for (int i = 0; i < p.repeats; ++i) {
#pragma unroll
    for (int chain = 0; chain < kMmaPeakChains; ++chain) MmaBf16(acc[chain], a, b);
  }
  float sum = 0.0f;
#pragma unroll
  for (int chain = 0; chain < kMmaPeakChains; ++chain)
    sum += acc[chain][0] + acc[chain][1] + acc[chain][2] + acc[chain][3];
  p.out[static_cast<int64_t>(blockIdx.x) * kMmaPeakThreads + threadIdx.x] = sum;
}

}  // namespace

void LaunchMmaPeak(const MmaPeakParams& params, int num_blocks, void* stream) {
  Launch<MmaPeak>({{static_cast<unsigned>(num_blocks), 1, 1}, kMmaPeakThreads, 0, stream}, params);
}

}  // namespace millrace::cuda
