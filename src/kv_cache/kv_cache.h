// KvCache: the KV blocks of an engine, as ids: one pool for all groups of the model, a pool of host blocks to swap to,
// and the prefix cache. Every change of a sequence's block table goes through here; what must be copied first is
// appended to the step's list of copies.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/batch.h"
#include "core/kv_spec.h"
#include "kv_cache/block_pool.h"
#include "kv_cache/block_table.h"
#include "kv_cache/prefix_cache.h"

namespace millrace {

struct KvCacheOptions {
  std::vector<KvGroupSpec> groups;
  int num_blocks = 0;
  int num_host_blocks = 0;  // 0: no swapping
  bool enable_prefix_caching = true;
  double max_tenant_fraction = 1.0;  // of the blocks that one tenant's cached prefixes may hold
  double max_pinned_fraction = 0.5;  // of the blocks that pinned prefixes may hold
};

struct KvCacheStats {
  int num_blocks = 0;
  int num_free = 0;
  int num_cached = 0;  // held by the prefix cache alone
  int num_in_use = 0;
  int num_host_blocks = 0;
  int num_host_in_use = 0;
  int64_t copied_blocks = 0;   // copy-on-write and forks
  int64_t swapped_blocks = 0;  // both ways
  PrefixCacheStats prefix;
};

// One thread. Functions that return false change nothing but what is cached: the pool is short of blocks even after
// eviction.
class KvCache {
 public:
  explicit KvCache(const KvCacheOptions& options);

  const std::vector<KvGroupSpec>& groups() const { return options_.groups; }
  bool has_recurrent() const { return has_recurrent_; }
  int num_blocks() const { return pool_.num_total(); }
  int num_available() const { return pool_.num_free() + pool_.num_cached(); }

  // Upper bound on the blocks that a sequence of num_tokens holds at any time, computed in chunks of at most a block if
  // need be.
  int MaxBlocks(int num_tokens) const;
  // The longest sequence that fits the pool alone.
  int MaxTokens() const { return max_tokens_; }

  BlockTable NewTable() const;

  // The longest cached prefix of at most max_tokens; nothing when prefix caching is off.
  PrefixMatch FindPrefix(const CacheDomain& domain, std::span<const TokenId> tokens, int max_tokens) const;
  // Starts an empty table from a fresh match; returns its tokens (fewer than the match's when no block is left for the
  // partial one).
  int TakePrefix(const PrefixMatch& match, BlockTable& table, std::vector<BlockCopy>& copies);
  // Offers the computed tokens to the prefix cache. state: see PrefixCache::Insert.
  void InsertPrefix(const CacheDomain& domain, std::span<const TokenId> computed, BlockTable& table,
                    const std::vector<std::vector<BlockRef>>& state);
  // Takes back what the table entered, as its contents can't be trusted.
  void ForgetPrefix(BlockTable& table);
  // Forgets what is cached and not in use, pinned or not.
  void DropCached();
  int Pin(const CacheDomain& domain, std::span<const TokenId> tokens, int64_t until_us);
  void SetPriority(const CacheDomain& domain, std::span<const TokenId> tokens, int priority);
  void AdvanceTime(int64_t now_us);

  int BlocksToExtend(const BlockTable& table, int num_tokens) const;
  // Blocks for tokens up to num_tokens; for recurrent groups also where the next row reads and writes its state.
  bool Extend(BlockTable& table, int num_tokens);
  // Frees blocks of window groups that no token at or after context_len sees.
  void FreeOutsideWindow(BlockTable& table, int context_len) const;
  // Frees blocks wholly at or beyond num_tokens (a rejected draft).
  void Truncate(BlockTable& table, int num_tokens) const;
  // A child that shares the parent's first num_tokens, all computed by steps before this one: full blocks shared, the
  // last partial block and recurrent states copied. Recurrent groups need the parent to stand at exactly num_tokens.
  bool Fork(const BlockTable& parent, int num_tokens, BlockTable& child, std::vector<BlockCopy>& copies);
  // Moves a table's blocks to host blocks and back; false when the destination is short.
  bool SwapOut(BlockTable& table, BlockTable& host, std::vector<BlockCopy>& copies);
  bool SwapIn(BlockTable& host, BlockTable& table, std::vector<BlockCopy>& copies);
  int NumBlocks(const BlockTable& table) const;

  // Appends the row's block ids to the tables of a batch.
  void AppendRow(const BlockTable& table, int num_tokens, std::vector<GroupTables>& tables) const;
  // Once the step's batch is complete: lets go of the states that its rows start from. Earlier, a copy of the same step
  // could overwrite them.
  void EndStep(BlockTable& table) const;

  KvCacheStats stats() const;
  // Free + in use + cached == total, counted anew, and the prefix tree's invariants. Empty when all hold.
  std::string DescribeError();

 private:
  bool Reserve(int num_blocks);
  int StateWidth(size_t group) const { return state_width_[group]; }
  bool WritesInPlace(const GroupBlocks& group) const;
  bool Move(BlockTable& from, BlockTable& to, BlockPool& pool, CopyKind kind, std::vector<BlockCopy>& copies);

  const KvCacheOptions options_;
  std::vector<int> state_width_;  // blocks of a recurrent group's state; 0 for paged groups
  bool has_recurrent_ = false;
  int max_tokens_ = 0;
  BlockPool pool_;
  BlockPool host_pool_;
  std::unique_ptr<PrefixCache> prefix_;  // null when off; goes before the pool
  int64_t copied_blocks_ = 0;
  int64_t swapped_blocks_ = 0;
};

}  // namespace millrace
