// Times of GPU work by events, and buffers of random data to work on.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "cuda/gpu.h"
#include "tensor/buffer.h"

namespace millrace::cuda {

// Median microseconds of one call of `work` on the default stream, over `samples` groups of `calls`.
inline double MedianMicroseconds(int samples, int calls, const std::function<void(int call)>& work) {
  cudaEvent_t start, stop;
  cudaEventCreate(&start);
  cudaEventCreate(&stop);
  for (int i = 0; i < calls; ++i) work(i);
  std::vector<double> times;
  for (int s = 0; s < samples; ++s) {
    cudaEventRecord(start, nullptr);
    for (int i = 0; i < calls; ++i) work(i);
    cudaEventRecord(stop, nullptr);
    cudaEventSynchronize(stop);
    float ms = 0.0f;
    cudaEventElapsedTime(&ms, start, stop);
    times.push_back(1000.0 * ms / calls);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Device memory filled with (random & mask) | pattern, 32 bits at a time: a piece made here, repeated there.
inline Buffer RandomBuffer(int64_t size_bytes, uint32_t mask, uint32_t pattern) {
  Buffer buffer = *Buffer::Allocate(size_bytes, gpu::Memory());
  std::vector<uint32_t> piece(static_cast<size_t>(std::min<int64_t>(size_bytes, 16 << 20) / 4 + 1));
  std::mt19937 rng(7);
  for (uint32_t& word : piece) word = (static_cast<uint32_t>(rng()) & mask) | pattern;
  const auto piece_bytes = static_cast<int64_t>((piece.size() - 1) * 4);
  for (int64_t at = 0; at < size_bytes; at += std::max<int64_t>(piece_bytes, 1)) {
    gpu::Upload(buffer.data() + at, piece.data(), std::min(piece_bytes, size_bytes - at));
  }
  return buffer;
}
// Two bf16 of magnitude 1/2 to 1.
inline Buffer RandomBf16(int64_t count) {
  return RandomBuffer(count * 2, 0x807f807fu, 0x3f003f00u);
}
// f32 of magnitude 1/2 to 1.
inline Buffer RandomF32(int64_t count) {
  return RandomBuffer(count * 4, 0x807fffffu, 0x3f000000u);
}

}  // namespace millrace::cuda
