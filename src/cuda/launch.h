// Starting a kernel: one struct of parameters per kernel, under nvcc on a stream, elsewhere in the emulator.
#pragma once

#include <cstddef>

#include "cuda/device.h"

namespace millrace::cuda {

struct LaunchShape {
  dim3 grid;
  int threads = 256;
  size_t shared_bytes = 0;
  void* stream = nullptr;
};

// Errors stay with the device and are reported by the next synchronisation. Nothing is launched for an empty grid.
template <auto kKernel, typename Params>
void Launch(const LaunchShape& shape, const Params& params) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
#if defined(__CUDACC__)
  constexpr int kMaxSharedBytes = 227 << 10;  // what a block of an H100 can have; A100: 163 KiB
  static const cudaError_t configured = [] {
    int device = 0, limit = kMaxSharedBytes;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limit);
  }();
  if (configured != cudaSuccess) return;
  kKernel<<<shape.grid, static_cast<unsigned>(shape.threads), shape.shared_bytes,
            static_cast<cudaStream_t>(shape.stream)>>>(params);
#else
  emulator::Do(
      [shape, params] { emulator::RunGrid(shape.grid, shape.threads, shape.shared_bytes, [&] { kKernel(params); }); });
#endif
}

}  // namespace millrace::cuda
