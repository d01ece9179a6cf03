#include <cstdlib>
#include <cstring>

#include "cuda/emulator/device_arena.h"
#include "cuda/emulator/emulator.h"
#include "cuda/gpu.h"

namespace millrace::cuda::gpu {
namespace {

void* AllocatePinned(int64_t size_bytes) {
  return std::malloc(static_cast<size_t>(size_bytes));
}
void ReleasePinned(void* memory) {
  std::free(memory);
}
void* CreateStream() {
  return nullptr;
}
void DestroyStream(void*) {}
void Copy(void*, void* to, const void* from, int64_t size_bytes) {
  emulator::Do([=] { std::memmove(to, from, static_cast<size_t>(size_bytes)); });
}
void Clear(void*, void* to, int64_t size_bytes) {
  emulator::Do([=] { std::memset(to, 0, static_cast<size_t>(size_bytes)); });
}
using Recording = std::vector<std::function<void()>>;
bool BeginRecording(void*) {
  emulator::BeginRecording();
  return true;
}
void* EndRecording(void*) {
  return new Recording(emulator::EndRecording());
}
void Replay(void*, void* recording) {
  for (const auto& work : *static_cast<const Recording*>(recording)) work();
}
void ReleaseRecording(void* recording) {
  delete static_cast<Recording*>(recording);
}
int64_t AvailableBytes() {
  return int64_t{1} << 30;
}

}  // namespace

void Upload(void* to, const void* from, int64_t size_bytes) {
  const emulator::DeviceAccess access;
  std::memmove(to, from, static_cast<size_t>(size_bytes));
}
bool Synchronize(void*, char*, int) {
  return true;
}

const DeviceMemory* Memory() {
  static const DeviceMemory memory = {emulator::AllocateDevice,
                                      emulator::ReleaseDevice,
                                      AllocatePinned,
                                      ReleasePinned,
                                      CreateStream,
                                      DestroyStream,
                                      Copy,
                                      Clear,
                                      Synchronize,
                                      AvailableBytes,
                                      BeginRecording,
                                      EndRecording,
                                      Replay,
                                      ReleaseRecording};
  return &memory;
}

}  // namespace millrace::cuda::gpu
