#include "cuda/emulator/device_arena.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "base/check.h"

namespace millrace::cuda::emulator {

#if defined(__SANITIZE_ADDRESS__)

void* AllocateDevice(int64_t size_bytes) {
  void* memory = std::malloc(static_cast<size_t>(size_bytes));
  if (memory != nullptr) std::memset(memory, 0xff, static_cast<size_t>(size_bytes));
  return memory;
}
void ReleaseDevice(void* memory) {
  std::free(memory);
}
DeviceAccess::DeviceAccess() = default;
DeviceAccess::~DeviceAccess() = default;

#else

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kArenaBytes = size_t{64} << 30;  // of address space; pages are taken when touched

// One range, so that one call protects or opens all of it. Released pieces wait for an allocation of as many pages.
struct Arena {
  std::mutex mutex;
  std::byte* begin = nullptr;
  size_t used = 0;
  int num_accesses = 0;
  std::map<size_t, std::vector<void*> > released;  // by bytes
  std::map<void*, size_t> live;

  Arena() {
    void* range = ::mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(range != MAP_FAILED, "no address space for the emulated GPU");
    begin = static_cast<std::byte*>(range);
  }
  void Protect(int protection) { CHECK(used == 0 || ::mprotect(begin, used, protection) == 0); }
};

Arena& TheArena() {
  static Arena arena;
  return arena;
}

}  // namespace

void* AllocateDevice(int64_t size_bytes) {
  Arena& arena = TheArena();
  const size_t bytes = (static_cast<size_t>(size_bytes) + kPage) / kPage * kPage;
  void* memory = nullptr;
  {
    const std::lock_guard lock(arena.mutex);
    CHECK(arena.num_accesses == 0, "memory is allocated while the GPU works");
    std::vector<void*>& released = arena.released[bytes];
    if (!released.empty()) {
      memory = released.back();
      released.pop_back();
    } else if (arena.used + bytes <= kArenaBytes) {
      memory = arena.begin + arena.used;
      arena.used += bytes;
    }
    if (memory != nullptr) arena.live[memory] = bytes;
  }
  const DeviceAccess access;
  if (memory != nullptr) std::memset(memory, 0xff, static_cast<size_t>(size_bytes));
  return memory;
}

void ReleaseDevice(void* memory) {
  if (memory == nullptr) return;
  Arena& arena = TheArena();
  const std::lock_guard lock(arena.mutex);
  const auto node = arena.live.extract(memory);
  CHECK(!node.empty(), "memory is released that was not allocated");
  ::madvise(memory, node.mapped(), MADV_DONTNEED);
  arena.released[node.mapped()].push_back(memory);
}

DeviceAccess::DeviceAccess() {
  Arena& arena = TheArena();
  const std::lock_guard lock(arena.mutex);
  if (arena.num_accesses++ == 0) arena.Protect(PROT_READ | PROT_WRITE);
}

DeviceAccess::~DeviceAccess() {
  Arena& arena = TheArena();
  const std::lock_guard lock(arena.mutex);
  if (--arena.num_accesses == 0) arena.Protect(PROT_NONE);
}

#endif

}  // namespace millrace::cuda::emulator
