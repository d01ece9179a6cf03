#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <thread>
#include <vector>

#include "tensor/buffer.h"
#include "tensor/page_populator.h"

namespace millrace {
namespace {

TEST(Buffer, IsZeroedAlignedAndWritable) {
  for (int64_t size : {1, 4096, 5000, (2 << 20) + 1, 7 << 20}) {
    Buffer buffer = *Buffer::Allocate(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(buffer.data()[0], std::byte{0});
    EXPECT_EQ(buffer.data()[size - 1], std::byte{0});
    buffer.data()[size - 1] = std::byte{7};
    Buffer moved = std::move(buffer);
    EXPECT_EQ(moved.data()[size - 1], std::byte{7});
    EXPECT_EQ(buffer.data(), nullptr);
  }
}

TEST(Buffer, AnImpossibleSizeIsAnError) {
  EXPECT_EQ(Buffer::Allocate(int64_t{1} << 60).status().code(), StatusCode::kResourceExhausted);
}

TEST(HostArena, BuffersLieSideBySideAndOutliveIt) {
  std::vector<Buffer> buffers;
  {
    HostArena arena;
    EXPECT_EQ(arena.Allocate(0)->data(), nullptr);
    for (int64_t size : {100, 64, 3 << 20, 300 << 20, 5000}) buffers.push_back(*arena.Allocate(size));
    EXPECT_EQ(arena.Allocate(int64_t{1} << 60).status().code(), StatusCode::kResourceExhausted);
    buffers.push_back(*arena.Allocate(1));
  }
  EXPECT_EQ(buffers[1].data() - buffers[0].data(), 128);
  EXPECT_EQ(buffers[2].data() - buffers[1].data(), 64);
  for (Buffer& buffer : buffers) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(buffer.data()[0], std::byte{0});
    buffer.data()[0] = buffer.data()[buffer.size() - 1] = std::byte{7};
  }
  // A slab that still has a buffer stays mapped when the others of it are gone.
  buffers.erase(buffers.begin(), buffers.begin() + 2);
  EXPECT_EQ(buffers[0].data()[buffers[0].size() - 1], std::byte{7});
}

TEST(Workspace, ScopesGiveBackInReverse) {
  Workspace workspace(*Buffer::Allocate(1024));
  float* first = workspace.Take<float>(3);
  {
    Workspace::Scope scope(workspace);
    EXPECT_EQ(reinterpret_cast<std::byte*>(workspace.Take<float>(17)) - reinterpret_cast<std::byte*>(first), 64);
  }
  EXPECT_EQ(reinterpret_cast<std::byte*>(workspace.Take<float>(1)) - reinterpret_cast<std::byte*>(first), 64);
  EXPECT_EQ(workspace.peak(), 64 + 128);
}

TEST(PagePopulator, BacksTheMemoryAndLeavesWhatIsThere) {
  Buffer small = *Buffer::Allocate(5000), large = *Buffer::Allocate((5 << 20) + 123);
  small.data()[0] = std::byte{1};
  large.data()[large.size() - 1] = std::byte{2};
  PagePopulator populator(
      {{small.data(), static_cast<size_t>(small.size())}, {large.data(), static_cast<size_t>(large.size())}});
  while (!populator.done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(small.data()[0], std::byte{1});
  EXPECT_EQ(large.data()[large.size() - 1], std::byte{2});
  std::vector<unsigned char> resident(static_cast<size_t>((large.size() + 4095) / 4096));
  ASSERT_EQ(::mincore(large.data(), static_cast<size_t>(large.size()), resident.data()), 0);
  for (const unsigned char page : resident) EXPECT_TRUE(page & 1);
}

TEST(PagePopulator, StopsWhenItIsDestroyed) {
  Buffer buffer = *Buffer::Allocate(int64_t{64} << 30);  // far more than there is time for
  const auto start = std::chrono::steady_clock::now();
  PagePopulator({{buffer.data(), static_cast<size_t>(buffer.size())}});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace millrace
