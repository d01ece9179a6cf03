#include "tensor/page_populator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace millrace {
namespace {

constexpr uintptr_t kSmallPageBytes = 4096;
constexpr uintptr_t kPieceBytes = 2 << 20;  // a huge page: what a fault of others may have to wait for
constexpr int kPopulateWrite = 23;          // MADV_POPULATE_WRITE, which older headers lack
constexpr int kNiceness = 10;

}  // namespace

PagePopulator::PagePopulator(std::vector<std::span<std::byte>> ranges)
    : thread_([this, ranges = std::move(ranges)] {
        Run(ranges);
        done_.store(true, std::memory_order_release);
      }) {}

PagePopulator::~PagePopulator() {
  stopping_.store(true, std::memory_order_relaxed);
  thread_.join();
}

void PagePopulator::Run(const std::vector<std::span<std::byte>>& ranges) {
  [[maybe_unused]] const int niceness = ::nice(kNiceness);  // of this thread alone
  for (const std::span<std::byte> range : ranges) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(range.data()) / kSmallPageBytes * kSmallPageBytes;
    const uintptr_t end = reinterpret_cast<uintptr_t>(range.data()) + range.size();
    for (uintptr_t at = begin; at < end;) {
      if (stopping_.load(std::memory_order_relaxed)) return;
      const uintptr_t next = std::min((at / kPieceBytes + 1) * kPieceBytes, end);
      const bool ok =
          ::madvise(reinterpret_cast<void*>(at), next - at, kPopulateWrite) == 0;  // NOLINT(performance-no-int-to-ptr)
      if (!ok && errno != EINTR && errno != EAGAIN) return;
      if (ok) at = next;
    }
  }
}

}  // namespace millrace
