// What tests of the CUDA table share. The same tests run in the emulator (cuda_test) and, linked with the real kernels,
// on a GPU (cuda_gpu_test), so everything that kernels read is copied to the device's memory.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "cuda/gpu.h"
#include "cuda/ops.h"
#if defined(MILLRACE_CUDA_EMULATED)
#include "cuda/emulator/emulator.h"
#endif

namespace millrace::cuda {

#if defined(MILLRACE_CUDA_EMULATED)
using ScopedSchedule = emulator::ScopedSchedule;
#else
struct ScopedSchedule {  // a GPU has its own order
  explicit ScopedSchedule(uint64_t) {}
  ~ScopedSchedule() {}
};
#endif

// A copy of host values on the device, in a buffer of exactly that size.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values)
      : size_(values.size()),
        buffer_(*Buffer::Allocate(static_cast<int64_t>(values.size() * sizeof(T)), gpu::Memory())) {
    if (size_ > 0) gpu::Upload(buffer_.data(), values.data(), buffer_.size());
  }
  T* data() { return buffer_.as<T>(); }
  std::vector<T> Read() const {
    std::vector<T> values(size_);
    char error[256] = "";
    gpu::Memory()->copy(nullptr, values.data(), buffer_.data(), buffer_.size());
    CHECK(gpu::Synchronize(nullptr, error, sizeof(error)), "{}", error);
    return values;
  }

 private:
  size_t size_;
  Buffer buffer_;
};

// The table with what a call needs around it.
struct TestDevice {
  const kernels::OpTable& ops = CudaOpTable();
  ThreadPool pool{1};
  Workspace workspace{*Buffer::Allocate(16 << 20, ops.memory)};
  DeviceArray<std::byte> state{std::vector<std::byte>(static_cast<size_t>(ops.state_bytes))};
  kernels::OpContext context{&pool, &workspace, nullptr, state.data()};
};

}  // namespace millrace::cuda
