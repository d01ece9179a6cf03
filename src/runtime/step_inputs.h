// StepInputs: the arrays of a step where its device reads them. On the CPU they stay where they are; for another device
// they are gathered in pinned memory and go over in one copy.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "tensor/buffer.h"

namespace millrace {

class StepInputs {
 public:
  StepInputs() = default;
  // Room for `size_bytes` of arrays; memory is null for the CPU, which needs none.
  static Result<StepInputs> Create(const DeviceMemory* memory, int64_t size_bytes);

  // Forgets what was placed. The copy of the step before must be done.
  void Reset() { used_ = sent_ = 0; }
  // Where the device will find host[0 .. count) after Flush; null stays null. Aborts beyond the planned size.
  template <typename T>
  const T* Place(const T* host, int64_t count) {
    return Place(host, count, count);
  }
  // With room for more, so that what is placed next lies at the same address whatever the count.
  template <typename T>
  const T* Place(const T* host, int64_t count, int64_t room) {
    if (memory_ == nullptr || host == nullptr) return host;
    const int64_t bytes = room * static_cast<int64_t>(sizeof(T));
    const int64_t at = used_;
    CHECK_LE(count, room);
    CHECK(at + bytes <= device_.size(), "step arrays of {} bytes, {} used, {} wanted", device_.size(), at, bytes);
    std::memcpy(pinned_.get() + at, host, static_cast<size_t>(count) * sizeof(T));
    used_ = (at + bytes + 63) / 64 * 64;
    return reinterpret_cast<const T*>(device_.data() + at);
  }
  // Sends what was placed since the last Flush or Reset.
  void Flush(void* stream);

 private:
  struct PinnedRelease {
    const DeviceMemory* memory;
    void operator()(std::byte* bytes) const { memory->release_pinned(bytes); }
  };

  const DeviceMemory* memory_ = nullptr;
  Buffer device_;
  std::unique_ptr<std::byte[], PinnedRelease> pinned_{nullptr, {nullptr}};
  int64_t used_ = 0;
  int64_t sent_ = 0;
};

}  // namespace millrace
