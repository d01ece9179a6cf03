#include "kernels/linear/unit_ranges.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace::kernels {
namespace {

TEST(UnitRangesTest, HandsOutEveryUnitOnceToAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 70}) {
    for (const int64_t units : {0, 1, 2, 5, 64, 1000, 100'000}) {
      for (const int64_t max_run : {int64_t{1}, int64_t{7}, units + 1}) {
        UnitRanges ranges(units, threads, max_run);
        std::vector<std::atomic<int>> done(static_cast<size_t>(units));
        std::vector<std::thread> workers;
        for (int t = 0; t < threads; ++t) {
          workers.emplace_back([&, t] {
            int64_t begin, end;
            while (ranges.Take(t, &begin, &end)) {
              for (int64_t u = begin; u < end; ++u) done[static_cast<size_t>(u)].fetch_add(1);
            }
          });
        }
        for (std::thread& worker : workers) worker.join();
        for (int64_t u = 0; u < units; ++u)
          ASSERT_EQ(done[static_cast<size_t>(u)], 1) << u << " of " << units << ", " << threads << " threads";
      }
    }
  }
}

TEST(UnitRangesTest, AThreadAloneDoesItsOwnRangeInOrderAndThenTheOthers) {
  UnitRanges ranges(100, 2, 1);
  int64_t begin, end;
  for (int64_t u = 50; u < 100; ++u) {
    ASSERT_TRUE(ranges.Take(1, &begin, &end));
    ASSERT_EQ(begin, u);
    ASSERT_EQ(end, u + 1);
  }
  ASSERT_TRUE(ranges.Take(1, &begin, &end));
  EXPECT_EQ(begin, 25);  // half of thread 0's, from its end
  EXPECT_EQ(end, 50);
  ASSERT_TRUE(ranges.Take(0, &begin, &end));
  EXPECT_EQ(begin, 0);
}

}  // namespace
}  // namespace millrace::kernels
