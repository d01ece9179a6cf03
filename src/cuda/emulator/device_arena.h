// The emulated GPU's memory. The host can't read or write it except while a kernel or copy runs, as on a real one: an
// access in between faults. Under the address sanitizer it is plain memory, every buffer its own allocation of its
// exact size, so that overruns are seen instead.
#pragma once

#include <cstdint>

namespace millrace::cuda::emulator {

// Poisoned with NaN bytes. Null when the address space is used up.
void* AllocateDevice(int64_t size_bytes);
void ReleaseDevice(void* memory);

// While one lives, device memory can be accessed by every thread.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace millrace::cuda::emulator
