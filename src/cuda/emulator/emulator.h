// A CUDA block on the host, for tests: the threads of a block are fibers of one host thread, warps meet at collectives,
// and the few PTX instructions that kernels use are done by their definition in the PTX ISA. Kernels compile against
// this instead of cuda_runtime.h.
//
// What it is strict about, so that tests see what a GPU would hide or do at random:
//   1. Shared memory is poisoned with NaN bytes at the start of every block and has exactly the requested size (ASan
//   sees overruns).
//   2. cp.async copies when the group is waited for, not when it is issued: a missing wait reads poison.
//   3. Warps and lanes run in an order drawn from a seed; a missing barrier shows as bits that differ between seeds.
//   4. The host faults when it touches device memory between launches and copies (device_arena.h).
//   5. A collective that some lanes of a warp don't reach, or a barrier that some threads don't, aborts with the place.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#define __global__ inline
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

namespace millrace::cuda::emulator {

// Runs body once per thread of every block of the grid, blocks one after the other. Not reentrant.
void RunGrid(dim3 grid, int threads, size_t shared_bytes, const std::function<void()>& body);

// Runs a launch or copy, or, between BeginRecording and EndRecording of this host thread, only keeps it, with the
// arguments as they are now.
void Do(std::function<void()> work);
void BeginRecording();
std::vector<std::function<void()>> EndRecording();

// Order of blocks, warps and lanes of the launches of this host thread while it lives; seed 0 is ascending order.
class ScopedSchedule {
 public:
  explicit ScopedSchedule(uint64_t seed);
  ~ScopedSchedule();

 private:
  uint64_t saved_;
};

struct ThreadIds {
  dim3 thread, block, block_size, grid;
};
const ThreadIds& Ids();

std::byte* SharedMemory();
void SyncThreads(const char* where);

// Waits until every lane of the warp came with its operand, then one of them runs compute(operands[32]). `name` must
// agree in all lanes.
void Collective(const char* name, void* operand, const std::function<void(void* const*)>& compute);
int LaneIndex();

void CpAsync(void* shared, const void* global, int bytes, int valid_bytes);
void CpAsyncCommit();
void CpAsyncWait(int pending_groups);

}  // namespace millrace::cuda::emulator

#define threadIdx (::millrace::cuda::emulator::Ids().thread)
#define blockIdx (::millrace::cuda::emulator::Ids().block)
#define blockDim (::millrace::cuda::emulator::Ids().block_size)
#define gridDim (::millrace::cuda::emulator::Ids().grid)
#define MILLRACE_EMULATOR_STRING(x) #x
#define MILLRACE_EMULATOR_LINE(x) MILLRACE_EMULATOR_STRING(x)
#define __syncthreads() ::millrace::cuda::emulator::SyncThreads(__FILE__ ":" MILLRACE_EMULATOR_LINE(__LINE__))

inline void __threadfence() {}
inline int max(int a, int b) {
  return a > b ? a : b;
}
inline int min(int a, int b) {
  return a < b ? a : b;
}
inline float __shfl_xor_sync(unsigned, float value, int lane_mask) {
  struct Operand {
    float in, out;
    int mask;
  } operand{value, 0.0f, lane_mask};
  millrace::cuda::emulator::Collective("shfl.xor", &operand, [](void* const* lanes) {
    for (int i = 0; i < 32; ++i) {
      Operand& to = *static_cast<Operand*>(lanes[i]);
      to.out = static_cast<Operand*>(lanes[(i ^ to.mask) & 31])->in;
    }
  });
  return operand.out;
}
inline void __syncwarp() {
  int nothing = 0;
  millrace::cuda::emulator::Collective("syncwarp", &nothing, [](void* const*) {});
}

template <typename T>
T AtomicAddEmulated(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}
inline int atomicAdd(int* address, int value) {
  return AtomicAddEmulated(address, value);
}
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  return AtomicAddEmulated(address, value);
}
inline unsigned long long atomicAdd(unsigned long long* address, unsigned long long value) {
  return AtomicAddEmulated(address, value);
}
inline unsigned long long atomicMax(unsigned long long* address, unsigned long long value) {
  const unsigned long long old = *address;
  if (value > old) *address = value;
  return old;
}
