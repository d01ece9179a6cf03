#include <cstdlib>
#include <cstring>

#include "cuda/gpu.h"

namespace millrace::cuda::gpu {
namespace {

// Every buffer is its own allocation of its exact size, poisoned, so that ASan sees overruns and tests see what was never written.
void* Allocate(int64_t size_bytes) {
  void* memory = std::malloc(static_cast<size_t>(size_bytes));
  if (memory != nullptr) std::memset(memory, 0xff, static_cast<size_t>(size_bytes));
  return memory;
}
void Release(void* memory) { std::free(memory); }
void* CreateStream() { return nullptr; }
void DestroyStream(void*) {}
void Copy(void*, void* to, const void* from, int64_t size_bytes) { std::memmove(to, from, static_cast<size_t>(size_bytes)); }
void Clear(void*, void* to, int64_t size_bytes) { std::memset(to, 0, static_cast<size_t>(size_bytes)); }
int64_t AvailableBytes() { return int64_t{1} << 30; }

}  // namespace

void Upload(void* to, const void* from, int64_t size_bytes) { Copy(nullptr, to, from, size_bytes); }
bool Synchronize(void*, char*, int) { return true; }

const DeviceMemory* Memory() {
  static const DeviceMemory memory = {Allocate,      Release, Allocate, Release,     CreateStream,
                                      DestroyStream, Copy,    Clear,    Synchronize, AvailableBytes};
  return &memory;
}

}  // namespace millrace::cuda::gpu
