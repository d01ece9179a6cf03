#include "kv_cache/block_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace millrace {
namespace {

// Random holds, copies and releases against a map of counts.
TEST(BlockPool, CountsAgreeWithASimpleModel) {
  constexpr int kBlocks = 7;
  std::mt19937 rng(1);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(rng); };
  BlockPool pool(kBlocks);
  std::vector<BlockRef> held;
  std::map<BlockId, BlockRef> cache;
  for (int step = 0; step < 20'000; ++step) {
    switch (pick(5)) {
      case 0:
        if (BlockRef block = pool.Allocate()) {
          held.push_back(std::move(block));
        } else {
          EXPECT_EQ(pool.num_free(), 0);
        }
        break;
      case 1:
        if (!held.empty()) held.push_back(held[pick(held.size())]);
        break;
      case 2:
        if (!held.empty()) held.erase(held.begin() + static_cast<int64_t>(pick(held.size())));
        break;
      case 3:
        if (!held.empty()) {
          const BlockRef& block = held[pick(held.size())];
          if (cache.emplace(block.id(), block).second) pool.SetCached(block.id(), true);
        }
        break;
      case 4:
        if (!cache.empty()) {
          auto it = cache.begin();
          std::advance(it, pick(cache.size()));
          pool.SetCached(it->first, false);
          cache.erase(it);
        }
    }
    std::map<BlockId, int> counts;
    for (const BlockRef& block : held) ++counts[block.id()];
    const int in_use = static_cast<int>(counts.size());
    int cached = 0;
    for (const auto& [id, block] : cache) cached += counts[id]++ == 0;
    ASSERT_EQ(pool.DescribeError(), "");
    ASSERT_EQ(pool.num_in_use(), in_use);
    ASSERT_EQ(pool.num_cached(), cached);
    ASSERT_EQ(pool.num_free() + cached + in_use, kBlocks);
    for (const auto& [id, count] : counts) ASSERT_EQ(pool.ref_count(id), count);
    for (BlockId id : pool.TakeIdle()) ASSERT_TRUE(id >= 0 && id < kBlocks);
  }
  for (const auto& [id, block] : cache) pool.SetCached(id, false);
}

TEST(BlockPoolDeathTest, ALeakIsABug) {
  EXPECT_DEATH(
      {
        auto* pool = new BlockPool(1);
        const BlockRef block = pool->Allocate();
        delete pool;
      },
      "1 blocks outlive their pool");
}

}  // namespace
}  // namespace millrace
