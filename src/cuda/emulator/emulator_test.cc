// The emulator against the text of the PTX ISA, and what it must catch.
#include "cuda/emulator/emulator.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "cuda/launch.h"

namespace millrace::cuda {
namespace {

struct TileParams {
  const float* a = nullptr;  // [16, 16]
  const float* b = nullptr;  // [16, 8]
  float* c = nullptr;        // [16, 8]
};

// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type", .f16/.bf16: elements a0..a7, b0..b3, c0..c3 of
// a thread.
void MultiplyTile(TileParams p) {
  const int group = LaneIndex() >> 2, in_group = LaneIndex() % 4;
  float a_elements[8], b_elements[4];
  for (int i = 0; i < 8; ++i) {
    const int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8;
    const int col = i < 4 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8;
    a_elements[i] = p.a[row * 16 + col];
  }
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8;
    b_elements[i] = p.b[row * 8 + group];
  }
  uint32_t a[4], b[2];
  for (int i = 0; i < 4; ++i) a[i] = PackBf16(a_elements[2 * i], a_elements[2 * i + 1]);
  for (int i = 0; i < 2; ++i) b[i] = PackBf16(b_elements[2 * i], b_elements[2 * i + 1]);
  float c[4] = {1.0f, 1.0f, 1.0f, 1.0f};
  MmaBf16(c, a, b);
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? group : group + 8;
    p.c[row * 8 + in_group * 2 + (i & 1)] = c[i];
  }
}

TEST(Emulator, MmaFollowsTheFragmentTables) {
  std::vector<float> a, b, c(16 * 8, 0.0f);
  for (int i = 0; i < 256; ++i) a.push_back(static_cast<float>(i % 7 - 3));
  for (int i = 0; i < 128; ++i) b.push_back(static_cast<float>(i % 5 - 2));
  Launch<MultiplyTile>({{1, 1, 1}, 32}, TileParams{a.data(), b.data(), c.data()});
  for (int row = 0; row < 16; ++row) {
    for (int col = 0; col < 8; ++col) {
      float sum = 1.0f;
      for (int k = 0; k < 16; ++k) sum += a[static_cast<size_t>(row * 16 + k)] * b[static_cast<size_t>(k * 8 + col)];
      EXPECT_EQ(c[static_cast<size_t>(row * 8 + col)], sum) << row << ", " << col;
    }
  }
}

struct WordParams {
  uint32_t* out = nullptr;
  const uint32_t* in = nullptr;
};

void TransposeMatrices(WordParams p) {
  auto* shared =
      reinterpret_cast<uint16_t*>(SharedMemory());  // four matrices [8][8], element = 100 matrix + 10 row + col
  if (threadIdx.x == 0) {
    for (int m = 0; m < 4; ++m) {
      for (int i = 0; i < 64; ++i) shared[m * 64 + i] = static_cast<uint16_t>(100 * m + 10 * (i / 8) + i % 8);
    }
  }
  __syncthreads();
  uint32_t r[4];
  LoadMatrixTransposed(r, SharedMemory() + LaneIndex() * 16);
  for (int m = 0; m < 4; ++m) p.out[LaneIndex() * 4 + m] = r[m];
}

TEST(Emulator, LdmatrixTransposes) {
  std::vector<uint32_t> out(128);
  Launch<TransposeMatrices>({{1, 1, 1}, 32, 512}, WordParams{out.data()});
  for (int lane = 0; lane < 32; ++lane) {
    for (int m = 0; m < 4; ++m) {
      const uint32_t pair = out[static_cast<size_t>(lane * 4 + m)];
      const int row = lane % 4 * 2, col = lane / 4;  // of the stored matrix
      EXPECT_EQ(pair & 0xffff, static_cast<uint32_t>(100 * m + 10 * row + col));
      EXPECT_EQ(pair >> 16, static_cast<uint32_t>(100 * m + 10 * (row + 1) + col));
    }
  }
}

// Reads before the copy was waited for when out is asked for poison.
void CopyThenRead(WordParams p) {
  CopyAsync16(SharedMemory() + 16 * threadIdx.x, p.in + 4 * threadIdx.x, true);
  CopyAsyncCommit();
  const auto* word = reinterpret_cast<const uint32_t*>(SharedMemory() + 16 * threadIdx.x);
  p.out[2 * threadIdx.x] = *word;
  CopyAsyncWait<0>();
  p.out[2 * threadIdx.x + 1] = *word;
}

TEST(Emulator, AsyncCopiesArriveWhenTheyAreWaitedFor) {
  alignas(16) uint32_t in[128];
  for (uint32_t i = 0; i < 128; ++i) in[i] = i;
  std::vector<uint32_t> out(64);
  Launch<CopyThenRead>({{1, 1, 1}, 32, 512}, WordParams{out.data(), in});
  for (uint32_t i = 0; i < 32; ++i) {
    EXPECT_EQ(out[2 * i], 0xffffffffu);
    EXPECT_EQ(out[2 * i + 1], 4 * i);
  }
}

// Warp 1 reads what warp 0 writes, with no barrier between.
void Race(WordParams p) {
  auto* shared = reinterpret_cast<uint32_t*>(SharedMemory());
  if (threadIdx.x == 5) shared[0] = 1;
  if (threadIdx.x == 40) p.out[0] = shared[0];
}

TEST(Emulator, OrdersDifferBetweenSeeds) {
  std::set<uint32_t> seen;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    const emulator::ScopedSchedule schedule(seed);
    uint32_t out = 7;
    Launch<Race>({{1, 1, 1}, 64, 16}, WordParams{&out});
    seen.insert(out);
  }
  EXPECT_EQ(seen, (std::set<uint32_t>{1u, 0xffffffffu}));
}

void MissedBarrier(WordParams) {
  if (threadIdx.x < 32) __syncthreads();
}
void DivergedWarp(WordParams) {
  if (LaneIndex() < 16) {
    __syncwarp();
  } else {
    WarpSum(1.0f);
  }
}

TEST(EmulatorDeathTest, BarriersAndCollectivesThatNotAllReach) {
  EXPECT_DEATH(Launch<MissedBarrier>({{1, 1, 1}, 64}, WordParams{}), "wait for others");
  EXPECT_DEATH(Launch<DivergedWarp>({{1, 1, 1}, 32}, WordParams{}), "lanes of a warp are at");
}

}  // namespace
}  // namespace millrace::cuda
