// What this GPU can do at most, for the ratios of measurements.
#pragma once

#include <cstdint>

namespace millrace::cuda {

// Every warp of a full GPU issues `repeats` x 16 independent mma.m16n8k16 of bf16 on pseudo-random fragments; out gets
// a word per thread.
struct MmaPeakParams {
  int repeats = 0;
  float* out = nullptr;  // [blocks * 256]
};
inline constexpr int kMmaPeakThreads = 256;
inline constexpr int kMmaPeakChains = 16;

void LaunchMmaPeak(const MmaPeakParams& params, int num_blocks, void* stream);

}  // namespace millrace::cuda
