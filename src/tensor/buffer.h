// Buffer: the only owner of tensor memory, 64-byte aligned and, on the host, huge-page backed where it pays.
// TensorView: a non-owning view.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/dtype.h"
#include "base/status.h"
#include "tensor/device.h"
#include "tensor/device_memory.h"

namespace millrace {

// Move-only owner of `size` bytes: of host memory, zero-filled by the system on first touch, or of a device's, not
// cleared.
class Buffer {
 public:
  Buffer() = default;
  // kResourceExhausted when the system refuses. Sizes of 2 MiB and more ask for transparent huge pages.
  static Result<Buffer> Allocate(int64_t size_bytes);
  // Of a device; of the host when `memory` is null.
  static Result<Buffer> Allocate(int64_t size_bytes, const DeviceMemory* memory);

  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(memory_, other.memory_);
    std::swap(slab_, other.slab_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  friend class HostArena;

  std::byte* data_ = nullptr;
  int64_t size_ = 0;
  const DeviceMemory* memory_ = nullptr;  // null: the host
  std::shared_ptr<Buffer> slab_;          // what a HostArena cut this from; null: its own mapping
};

// Cuts host buffers one after another from slabs of huge pages, so that buffers below 2 MiB have huge pages too and
// those above waste no part of one. For buffers that live and die together: a slab is unmapped when its last buffer is
// gone, be the arena itself alive or not. One thread at a time.
class HostArena {
 public:
  // 64-byte aligned, zero-filled; kResourceExhausted when the system refuses.
  Result<Buffer> Allocate(int64_t size_bytes);

 private:
  std::shared_ptr<Buffer> slab_;
  int64_t used_ = 0;  // bytes of slab_
};

// Non-owning data + dtype, shape, strides (in elements), device. Never allocates or computes; rank 1 to 4.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 4> shape = {};
  std::array<int64_t, 4> strides = {};
  Device device;

  // Contiguous row-major [rows, cols].
  static TensorView Matrix(float* data, int64_t rows, int64_t cols) {
    return {data, DType::kF32, 2, {rows, cols}, {cols, 1}, {}};
  }
  float* f32() const {
    DCHECK(dtype == DType::kF32);
    return static_cast<float*>(data);
  }
};

// Scratch memory of one step, handed out from the front of a fixed buffer. A kernel takes what it needs and releases it
// in reverse order through a Scope; the high-water mark is checked at warm-up.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(Buffer buffer) : data_(buffer.data()), size_(buffer.size()), buffer_(std::move(buffer)) {}

  // Restores the position on destruction.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) : workspace_(workspace), saved_(workspace.used_) {}
    ~Scope() { workspace_.used_ = saved_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    int64_t saved_;
  };

  // 64-byte aligned; aborts when the plan was too small, which is a bug in the plan.
  template <typename T>
  T* Take(int64_t count) {
    const int64_t bytes = (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    CHECK(used_ + bytes <= size_, "workspace of {} bytes, {} used, {} wanted", size_, used_, bytes);
    T* out = reinterpret_cast<T*>(data_ + used_);
    used_ += bytes;
    if (used_ > peak_) peak_ = used_;
    return out;
  }
  int64_t used() const { return used_; }
  int64_t peak() const { return peak_; }
  int64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
  int64_t used_ = 0;
  int64_t peak_ = 0;
  Buffer buffer_;
};

}  // namespace millrace
