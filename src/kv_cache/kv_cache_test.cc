#include "kv_cache/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace millrace {
namespace {

const KvGroupSpec kFullGroup = {.kind = KvGroupKind::kFull, .layers = {0}, .bytes_per_block = 64};

KvGroupSpec WindowGroup(int tokens) {
  return {.kind = KvGroupKind::kWindow, .layers = {1}, .bytes_per_block = 64, .window_tokens = tokens};
}

KvCacheOptions Options(int num_blocks, std::vector<KvGroupSpec> groups = {kFullGroup}) {
  KvCacheOptions options;
  options.groups = std::move(groups);
  options.num_blocks = num_blocks;
  return options;
}

std::vector<TokenId> Tokens(int count, int first = 0) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Computes a prompt and lets its blocks go, so that what stays is cached.
void Compute(KvCache& cache, const CacheDomain& domain, const std::vector<TokenId>& tokens) {
  BlockTable table = cache.NewTable();
  std::vector<BlockCopy> copies;
  const int found = cache.TakePrefix(cache.FindPrefix(domain, tokens, static_cast<int>(tokens.size())), table, copies);
  ASSERT_LE(found, static_cast<int>(tokens.size()));
  ASSERT_TRUE(cache.Extend(table, static_cast<int>(tokens.size())));
  cache.InsertPrefix(domain, tokens, table, {});
}

int Found(const KvCache& cache, const CacheDomain& domain, const std::vector<TokenId>& tokens) {
  return cache.FindPrefix(domain, tokens, static_cast<int>(tokens.size())).num_tokens();
}

TEST(KvCache, PrefixesAreSharedInFullBlocksAndByCopyingThePartialOne) {
  KvCache cache(Options(20));
  Compute(cache, {}, Tokens(70));  // four full blocks; the last six tokens stay private
  EXPECT_EQ(Found(cache, {}, Tokens(70)), 64);
  EXPECT_EQ(Found(cache, {}, Tokens(63)), 63);  // 15 tokens of the fourth block
  std::vector<TokenId> other = Tokens(70);
  other[40] = 999;
  const PrefixMatch match = cache.FindPrefix({}, other, 70);
  EXPECT_EQ(match.num_blocks(), 2);
  EXPECT_EQ(match.partial_tokens, 8);
  BlockTable table = cache.NewTable();
  std::vector<BlockCopy> copies;
  EXPECT_EQ(cache.TakePrefix(match, table, copies), 40);
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].to, table.groups[0].blocks[2].id());
  EXPECT_EQ(copies[0].num_tokens, 8);
  EXPECT_EQ(cache.stats().num_in_use, 3);
  EXPECT_EQ(cache.DescribeError(), "");
}

TEST(KvCache, SaltsAndAdaptersSeparate) {
  KvCache cache(Options(20));
  Compute(cache, {.salt = 1}, Tokens(32));
  EXPECT_EQ(Found(cache, {.salt = 1, .tenant = "other"}, Tokens(32)), 32);
  EXPECT_EQ(Found(cache, {.salt = 2}, Tokens(32)), 0);
  EXPECT_EQ(Found(cache, {.salt = 1, .adapter = 1}, Tokens(32)), 0);
}

TEST(KvCache, TheLeastRecentlyUsedGoesFirstAndPriorityAndPinsStay) {
  KvCache cache(Options(8));
  const std::vector<std::vector<TokenId>> prompts = {Tokens(32, 0), Tokens(32, 100), Tokens(32, 200), Tokens(32, 300)};
  for (const auto& prompt : prompts) Compute(cache, {}, prompt);
  cache.SetPriority({}, prompts[0], 1);
  EXPECT_EQ(cache.Pin({}, prompts[1], 1000), 32);
  Compute(cache, {}, prompts[2]);       // used again, so prompts[3] is the oldest without a privilege
  Compute(cache, {}, Tokens(32, 400));  // takes the place of prompts[3]
  EXPECT_EQ(Found(cache, {}, prompts[3]), 0);
  EXPECT_EQ(Found(cache, {}, prompts[2]), 32);
  Compute(cache, {}, Tokens(64, 500));  // of prompts[2] and 400..
  EXPECT_EQ(Found(cache, {}, prompts[2]), 0);
  EXPECT_EQ(Found(cache, {}, prompts[0]), 32);
  Compute(cache, {}, Tokens(96, 600));  // of 500.. and then of the higher priority, the pin still holds
  EXPECT_EQ(Found(cache, {}, prompts[0]), 0);
  EXPECT_EQ(Found(cache, {}, prompts[1]), 32);
  cache.AdvanceTime(1000);  // the pin is over and its prefix the oldest
  Compute(cache, {}, Tokens(32, 700));
  EXPECT_EQ(Found(cache, {}, prompts[1]), 0);
  EXPECT_EQ(cache.DescribeError(), "");
}

TEST(KvCache, APinYieldsWhenNothingElseIsLeft) {
  KvCacheOptions options = Options(4);
  options.max_pinned_fraction = 1.0;
  KvCache cache(options);
  Compute(cache, {}, Tokens(64));
  EXPECT_EQ(cache.Pin({}, Tokens(64), 1000), 64);
  BlockTable table = cache.NewTable();
  EXPECT_TRUE(cache.Extend(table, 64));
  EXPECT_FALSE(cache.Extend(table, 65));
}

TEST(KvCache, AFloodingTenantEvictsOnlyItself) {
  KvCacheOptions options = Options(40);
  options.max_tenant_fraction = 0.5;
  KvCache cache(options);
  Compute(cache, {.tenant = "quiet"}, Tokens(64));
  for (int i = 1; i < 50; ++i) Compute(cache, {.tenant = "flood"}, Tokens(64, 1000 * i));
  EXPECT_EQ(Found(cache, {.tenant = "quiet"}, Tokens(64)), 64);
  EXPECT_EQ(Found(cache, {.tenant = "flood"}, Tokens(64, 49'000)), 64);
  EXPECT_LE(cache.stats().num_cached, 4 + 20);
  EXPECT_EQ(cache.DescribeError(), "");
}

TEST(KvCache, WindowGroupsHoldAndMatchOnlyWhatIsSeen) {
  KvCache cache(Options(64, {kFullGroup, WindowGroup(20)}));
  const std::vector<TokenId> tokens = Tokens(160);
  BlockTable table = cache.NewTable();
  for (int computed = 0; computed < 160; computed += 16) {
    cache.FreeOutsideWindow(table, computed);
    ASSERT_TRUE(cache.Extend(table, computed + 16));
    cache.InsertPrefix({}, std::span(tokens).first(computed + 16), table, {});
  }
  cache.FreeOutsideWindow(table, 160);
  EXPECT_EQ(table.groups[1].first_live, 8);  // token 160 sees 141 ..
  EXPECT_EQ(cache.NumBlocks(table), 10 + 2);
  EXPECT_EQ(cache.stats().num_cached, 8);  // window blocks of the eight older nodes
  // Without them a prefix can be used only where its last 20 tokens are there.
  BlockTable other = cache.NewTable();
  ASSERT_TRUE(cache.Extend(other, (64 - 12 - 8) / 2 * 16));
  ASSERT_FALSE(cache.Extend(other, (64 - 12) / 2 * 16 + 16));
  ASSERT_TRUE(cache.Extend(other, (64 - 12) / 2 * 16));
  EXPECT_EQ(Found(cache, {}, tokens), 160);
  EXPECT_EQ(Found(cache, {}, Tokens(150)), 0);
  EXPECT_EQ(cache.DescribeError(), "");
}

TEST(KvCache, AForkOnAnotherCopyOfThePrefixKeepsNothingIdleFromEviction) {
  for (const bool window : {false, true}) {
    KvCache cache(
        Options(window ? 16 : 8, window ? std::vector{kFullGroup, WindowGroup(40)} : std::vector{kFullGroup}));
    const std::vector<TokenId> tokens = Tokens(32);
    const int held = window ? 4 : 2;
    BlockTable parent = cache.NewTable(), child;
    std::vector<BlockCopy> copies;
    ASSERT_TRUE(cache.Extend(parent, 32));
    ASSERT_TRUE(cache.Fork(parent, 32, child, copies));
    Compute(cache, {}, Tokens(16));  // somebody else's copy of the first block
    cache.InsertPrefix({}, tokens, parent, {});
    parent = cache.NewTable();
    BlockTable rest = cache.NewTable();
    EXPECT_TRUE(cache.Extend(rest, (cache.num_blocks() - held) / (window ? 2 : 1) * kKvBlockTokens));
    cache.InsertPrefix({}, tokens, child, {});
    EXPECT_EQ(Found(cache, {}, tokens), 32);
    EXPECT_EQ(cache.DescribeError(), "");
  }
}

TEST(KvCache, AStateIsFoundWhereItWasKept) {
  KvCache cache(
      Options(64, {kFullGroup, {.kind = KvGroupKind::kRecurrent, .layers = {1, 2}, .state_piece_bytes = {64}}}));
  const std::vector<TokenId> tokens = Tokens(96);
  {
    BlockTable table = cache.NewTable();
    ASSERT_TRUE(cache.Extend(table, 48));
    cache.InsertPrefix({}, std::span(tokens).first(48), table, {{}, table.groups[1].blocks});
    ASSERT_TRUE(cache.Extend(table, 96));
    EXPECT_NE(table.groups[1].read_state[0].id(), table.groups[1].blocks[0].id());
    cache.InsertPrefix({}, tokens, table, {});
  }
  EXPECT_EQ(Found(cache, {}, tokens), 48);
  BlockTable table = cache.NewTable();
  std::vector<BlockCopy> copies;
  EXPECT_EQ(cache.TakePrefix(cache.FindPrefix({}, tokens, 95), table, copies), 48);
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(cache.DescribeError(), "");
}

TEST(KvCache, ASwappedStateNeedsNoFurtherBlocks) {
  KvCacheOptions options =
      Options(16, {kFullGroup, {.kind = KvGroupKind::kRecurrent, .layers = {1}, .state_piece_bytes = {64}}});
  options.num_host_blocks = 16;
  KvCache cache(options);
  BlockTable shared = cache.NewTable(), table = cache.NewTable(), host;
  ASSERT_TRUE(cache.Extend(shared, 16));
  const BlockTable others = shared;  // the same ids as the host blocks below
  ASSERT_TRUE(cache.Extend(table, 16));
  std::vector<BlockCopy> copies;
  ASSERT_TRUE(cache.SwapOut(table, host, copies));
  EXPECT_EQ(cache.BlocksToExtend(host, 16), 0);
  EXPECT_EQ(cache.BlocksToExtend(others, 16), 1);
}

TEST(KvCache, WhatAFailedSequenceEnteredIsForgotten) {
  KvCache cache(Options(20));
  Compute(cache, {}, Tokens(32));
  BlockTable table = cache.NewTable();
  std::vector<BlockCopy> copies;
  const std::vector<TokenId> tokens = Tokens(80);
  EXPECT_EQ(cache.TakePrefix(cache.FindPrefix({}, tokens, 79), table, copies), 32);
  ASSERT_TRUE(cache.Extend(table, 80));
  cache.InsertPrefix({}, tokens, table, {});
  EXPECT_EQ(Found(cache, {}, tokens), 80);
  cache.ForgetPrefix(table);
  EXPECT_EQ(Found(cache, {}, tokens), 32);
  EXPECT_EQ(cache.DescribeError(), "");
}

TEST(KvCache, MaxTokensIsWhatTheBlocksHold) {
  EXPECT_EQ(KvCache(Options(10)).MaxTokens(), 160);
  const KvCache window(Options(10, {kFullGroup, WindowGroup(16)}));
  EXPECT_EQ(window.MaxTokens(), 96);  // six full blocks beside the window's at most four
}

}  // namespace
}  // namespace millrace
