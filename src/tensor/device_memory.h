// DeviceMemory: how the host gets, fills and reads memory of a device, as plain function pointers that a plugin can
// fill.
#pragma once

#include <cstdint>

namespace millrace {

// Streams are opaque; work on one runs in the order it was given. Addresses of host and device are distinct, and copies
// go in any direction.
struct DeviceMemory {
  // Null when the device refuses; not cleared.
  void* (*allocate)(int64_t size_bytes) = nullptr;
  void (*release)(void* memory) = nullptr;
  // Host memory that copies read and write without waiting; null when the system refuses.
  void* (*allocate_pinned)(int64_t size_bytes) = nullptr;
  void (*release_pinned)(void* memory) = nullptr;
  void* (*create_stream)() = nullptr;
  void (*destroy_stream)(void* stream) = nullptr;
  // Both return before it is done; pageable host memory is read before the call returns.
  void (*copy)(void* stream, void* to, const void* from, int64_t size_bytes) = nullptr;
  void (*clear)(void* stream, void* to, int64_t size_bytes) = nullptr;
  // Waits for the stream. False, with one sentence in `error`, when anything failed since the last call: nothing after
  // it can be trusted.
  bool (*synchronize)(void* stream, char* error, int error_bytes) = nullptr;
  // Bytes that can still be allocated.
  int64_t (*available_bytes)() = nullptr;
  // Between the two calls what the stream is given is recorded instead of done: kernels with their arguments, copies
  // with their addresses, all on the device or in pinned memory. Null where the device can't record. end_recording
  // gives null, and nothing is recorded, when any part was refused; the other calls of this thread must be copy and
  // clear alone meanwhile.
  bool (*begin_recording)(void* stream) = nullptr;
  void* (*end_recording)(void* stream) = nullptr;
  // Does what was recorded, with what now lies at those addresses; returns before it is done.
  void (*replay)(void* stream, void* recording) = nullptr;
  void (*release_recording)(void* recording) = nullptr;
};

}  // namespace millrace
