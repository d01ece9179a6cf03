#include <gtest/gtest.h>

#include "tensor/buffer.h"

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

}  // namespace
}  // namespace millrace
