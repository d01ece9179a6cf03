#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/checked_math.h"
#include "base/dtype.h"
#include "base/file.h"
#include "base/half.h"
#include "base/philox.h"
#include "base/status.h"
#include "base/thread_pool.h"

namespace millrace {
namespace {

TEST(Half, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float f = F16ToF32(static_cast<uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(f))));
    } else {
      EXPECT_EQ(F32ToF16(f), h);
    }
  }
}

TEST(Half, F16RoundsToNearestEven) {
  EXPECT_EQ(F32ToF16(1.0f + 0x1p-11f), 0x3c00);  // tie to even
  EXPECT_EQ(F32ToF16(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01);
  EXPECT_EQ(F32ToF16(65504.0f), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToF16(0x1p-25f), 0);
  EXPECT_EQ(F32ToF16(0x1.8p-24f), 2);
}

TEST(Half, EveryF8SurvivesTheRoundTrip) {
  for (uint32_t v = 0; v < 256; ++v) {
    const float f = F8E4M3ToF32(static_cast<uint8_t>(v));
    if (!std::isnan(f)) {
      EXPECT_EQ(F32ToF8E4M3(f), v) << v;
    }
  }
  EXPECT_EQ(F32ToF8E4M3(1e9f), 0x7e);
  EXPECT_EQ(F8E4M3ToF32(0x7e), 448.0f);
}

TEST(Half, Bf16RoundsToNearestEven) {
  EXPECT_EQ(F32ToBf16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(F32ToBf16(1.0f + 0x1p-8f + 0x1p-16f), 0x3f81);
  EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(NAN))));
}

TEST(DType, NamesParseBack) {
  for (int i = 0; i < static_cast<int>(DType::kCount); ++i) {
    const DType type = static_cast<DType>(i);
    EXPECT_EQ(ParseDType(DTypeName(type)), type);
  }
  EXPECT_EQ(ParseDType("q4_k"), DType::kQ4_K);
  EXPECT_FALSE(ParseDType("Q9"));
  EXPECT_EQ(RowBytes(DType::kQ6_K, 512), 420);
}

TEST(CheckedMath, RefusesOverflow) {
  EXPECT_FALSE(CheckedMul<uint64_t>(1ull << 40, 1ull << 40));
  EXPECT_FALSE(CheckedAdd<uint64_t>(~0ull, 1));
  EXPECT_TRUE(RangeFits<uint64_t>(10, 0, 10));
  EXPECT_FALSE(RangeFits<uint64_t>(~0ull, 2, 10));
  EXPECT_FALSE(RangeFits<uint64_t>(2, ~0ull, 10));
}

TEST(Philox, MatchesThePublishedVectors) {  // Random123 1.14, tests/kat_vectors
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(ThreadPool, EveryIndexIsVisitedOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 7, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
      pool.ParallelFor(n, 3, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) hits[static_cast<size_t>(i)].fetch_add(1);
      });
      for (auto& hit : hits) EXPECT_EQ(hit.load(), 1);
    }
  }
}

TEST(ThreadPool, TheCallerCanRunAlone) {
  ThreadPool pool(3);
  const auto count = [&] {
    std::atomic<int> calls{0};
    pool.Run([&](int) { ++calls; });
    return calls.load();
  };
  EXPECT_EQ(count(), 3);
  pool.set_alone(true);
  EXPECT_EQ(pool.num_threads(), 1);
  EXPECT_EQ(pool.size(), 3);
  const std::thread::id caller = std::this_thread::get_id();
  pool.ParallelFor(100, 7, [&](int64_t, int64_t) { EXPECT_EQ(std::this_thread::get_id(), caller); });
  EXPECT_EQ(count(), 1);
  pool.set_alone(false);
  EXPECT_EQ(count(), 3);
}

TEST(ThreadPool, ManyShortRegions) {
  ThreadPool pool(3);
  std::atomic<int> total{0};
  for (int i = 0; i < 2000; ++i) pool.Run([&](int) { total.fetch_add(1, std::memory_order_relaxed); });
  EXPECT_EQ(total.load(), 6000);
}

TEST(ThreadPool, RegionsOfThoseWhoAreReadyAndOfAllTakeTurns) {
  ThreadPool pool(4);
  std::vector<int> seen(4);  // by its own thread alone, so a region that outlives its caller's wait is a race
  for (int i = 0; i < 3000; ++i) {
    std::atomic<int> left{16};
    std::atomic<int> done{0};
    pool.RunOnReady([&](int thread) {
      while (left.fetch_sub(1, std::memory_order_relaxed) > 0) {
        ++seen[static_cast<size_t>(thread)];
        done.fetch_add(1, std::memory_order_relaxed);
      }
    });
    ASSERT_EQ(done.load(), 16);
    ASSERT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 16);
    std::fill(seen.begin(), seen.end(), 0);
    if (i % 3 != 0) continue;
    pool.Run([&](int thread) { ++seen[static_cast<size_t>(thread)]; });
    ASSERT_EQ(seen, std::vector<int>(4, 1));
    std::fill(seen.begin(), seen.end(), 0);
  }
}

TEST(File, ReadsWritesAndRefuses) {
  const std::string path = testing::TempDir() + "/millrace_file_test";
  ASSERT_TRUE(WriteFileAtomic(path, "hello").ok());
  EXPECT_EQ(*ReadFile(path, 5), "hello");
  EXPECT_EQ(ReadFile(path, 4).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(ReadFile("/nonexistent/file", 4).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadFile("/", 4).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace
