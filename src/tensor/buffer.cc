#include "tensor/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace millrace {
namespace {

constexpr int64_t kHugePageBytes = 2 << 20;
constexpr int64_t kPageBytes = 4096;
constexpr int64_t kSlabBytes = 256 << 20;  // of address space: pages are backed when touched

int64_t MappedBytes(int64_t size) {
  const int64_t unit = size >= kHugePageBytes ? kHugePageBytes : kPageBytes;
  return (size + unit - 1) / unit * unit;
}

}  // namespace

Result<Buffer> Buffer::Allocate(int64_t size_bytes) {
  CHECK_GE(size_bytes, 0);
  Buffer buffer;
  if (size_bytes == 0) return buffer;
  const int64_t bytes = MappedBytes(size_bytes);
  const bool huge = size_bytes >= kHugePageBytes;
  // Map one huge page more than needed and give back both ends, so that the data starts on a huge-page boundary.
  const int64_t slack = huge ? kHugePageBytes : 0;
  void* raw = ::mmap(nullptr, static_cast<size_t>(bytes + slack), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return ResourceExhausted("cannot allocate {} bytes: {}", size_bytes, std::strerror(errno));
  auto* data = static_cast<std::byte*>(raw);
  if (huge) {
    const int64_t head = (kHugePageBytes - reinterpret_cast<int64_t>(raw) % kHugePageBytes) % kHugePageBytes;
    if (head > 0) ::munmap(data, static_cast<size_t>(head));
    if (slack > head) ::munmap(data + head + bytes, static_cast<size_t>(slack - head));
    data += head;
    ::madvise(data, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  }
  buffer.data_ = data;
  buffer.size_ = size_bytes;
  return buffer;
}

Result<Buffer> Buffer::Allocate(int64_t size_bytes, const DeviceMemory* memory) {
  if (memory == nullptr) return Allocate(size_bytes);
  CHECK_GE(size_bytes, 0);
  Buffer buffer;
  if (size_bytes == 0) return buffer;
  buffer.data_ = static_cast<std::byte*>(memory->allocate(size_bytes));
  if (buffer.data_ == nullptr) {
    return ResourceExhausted("cannot allocate {} bytes on the device, which has {} left", size_bytes,
                             memory->available_bytes());
  }
  buffer.size_ = size_bytes;
  buffer.memory_ = memory;
  return buffer;
}

Buffer::~Buffer() {
  if (data_ == nullptr || slab_ != nullptr) return;
  if (memory_ != nullptr) {
    memory_->release(data_);
  } else {
    ::munmap(data_, static_cast<size_t>(MappedBytes(size_)));
  }
}

Result<Buffer> HostArena::Allocate(int64_t size_bytes) {
  CHECK_GE(size_bytes, 0);
  Buffer buffer;
  if (size_bytes == 0) return buffer;
  if (slab_ == nullptr || slab_->size() - used_ < size_bytes) {
    ASSIGN_OR_RETURN(Buffer slab, Buffer::Allocate(std::max(kSlabBytes, size_bytes)));
    slab_ = std::make_shared<Buffer>(std::move(slab));
    used_ = 0;
  }
  buffer.data_ = slab_->data() + used_;
  buffer.size_ = size_bytes;
  buffer.slab_ = slab_;
  used_ = std::min((used_ + size_bytes + 63) / 64 * 64, slab_->size());
  return buffer;
}

}  // namespace millrace
