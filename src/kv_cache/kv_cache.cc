#include "kv_cache/kv_cache.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"

namespace millrace {
namespace {

bool IsRecurrent(const KvGroupSpec& group) {
  return group.kind == KvGroupKind::kRecurrent;
}

}  // namespace

KvCache::KvCache(const KvCacheOptions& options)
    : options_(options), pool_(options.num_blocks), host_pool_(options.num_host_blocks) {
  const int64_t block_bytes = PoolBlockBytes(options_.groups);
  for (const KvGroupSpec& group : options_.groups) {
    state_width_.push_back(IsRecurrent(group) ? BlocksPerState(group, block_bytes) : 0);
    has_recurrent_ |= IsRecurrent(group);
  }
  int low = 0, high = 1 << 30;
  while (low < high) {
    const int middle = low + (high - low + 1) / 2;
    if (MaxBlocks(middle) <= options_.num_blocks) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  max_tokens_ = low;
  if (options_.enable_prefix_caching) {
    PrefixCacheOptions prefix;
    prefix.max_blocks_per_tenant = static_cast<int>(options_.max_tenant_fraction * options_.num_blocks);
    prefix.max_pinned_nodes =
        static_cast<int>(options_.max_pinned_fraction * options_.num_blocks / options_.groups.size());
    prefix_ = std::make_unique<PrefixCache>(pool_, options_.groups, prefix);
  }
}

int KvCache::MaxBlocks(int num_tokens) const {
  int64_t blocks = 0;
  for (size_t g = 0; g < options_.groups.size(); ++g) {
    const KvGroupSpec& group = options_.groups[g];
    const int64_t all = CeilDiv(num_tokens, kKvBlockTokens);
    // A window of w tokens before a block-sized chunk, neither aligned, touches at most three blocks more than w fills.
    const int64_t window = CeilDiv(group.window_tokens, kKvBlockTokens) + 3;
    if (IsRecurrent(group)) blocks += 2 * StateWidth(g);
    if (group.kind == KvGroupKind::kWindow) blocks += std::min(all, window);
    if (group.kind == KvGroupKind::kFull || group.kind == KvGroupKind::kLatent) blocks += all;
  }
  return static_cast<int>(std::min<int64_t>(blocks, INT_MAX));
}

BlockTable KvCache::NewTable() const {
  BlockTable table;
  table.groups.resize(options_.groups.size());
  return table;
}

PrefixMatch KvCache::FindPrefix(const CacheDomain& domain, std::span<const TokenId> tokens, int max_tokens) const {
  return prefix_ != nullptr && max_tokens > 0 ? prefix_->Find(domain, tokens, max_tokens) : PrefixMatch();
}

int KvCache::TakePrefix(const PrefixMatch& match, BlockTable& table, std::vector<BlockCopy>& copies) {
  if (match.num_tokens() == 0) return 0;
  std::vector<BlockRef> source;
  if (match.partial_tokens > 0) source = prefix_->PartialSource(match);
  prefix_->Take(match, table);
  if (source.empty() || !Reserve(static_cast<int>(source.size()))) return match.num_blocks() * kKvBlockTokens;
  for (size_t g = 0; g < source.size(); ++g) {
    table.groups[g].blocks.push_back(pool_.Allocate());
    copies.push_back({source[g].id(), table.groups[g].blocks.back().id(), match.partial_tokens, static_cast<int>(g)});
  }
  copied_blocks_ += static_cast<int64_t>(source.size());
  return match.num_tokens();
}

void KvCache::InsertPrefix(const CacheDomain& domain, std::span<const TokenId> computed, BlockTable& table,
                           const std::vector<std::vector<BlockRef>>& state) {
  const int num_blocks = static_cast<int>(computed.size()) / kKvBlockTokens;
  if (prefix_ == nullptr || num_blocks <= table.num_cached_blocks) return;
  const bool at_boundary = static_cast<int>(computed.size()) == num_blocks * kKvBlockTokens;
  prefix_->Insert(domain, computed, num_blocks, table, at_boundary ? state : std::vector<std::vector<BlockRef>>());
}

void KvCache::ForgetPrefix(BlockTable& table) {
  if (prefix_ != nullptr) prefix_->Forget(table);
}

void KvCache::DropCached() {
  if (prefix_ != nullptr) prefix_->Evict(num_blocks());
}

int KvCache::Pin(const CacheDomain& domain, std::span<const TokenId> tokens, int64_t until_us) {
  return prefix_ == nullptr ? 0 : prefix_->Pin(domain, tokens, until_us);
}

void KvCache::SetPriority(const CacheDomain& domain, std::span<const TokenId> tokens, int priority) {
  if (prefix_ != nullptr) prefix_->SetPriority(domain, tokens, priority);
}

void KvCache::AdvanceTime(int64_t now_us) {
  if (prefix_ != nullptr) prefix_->AdvanceTime(now_us);
}

bool KvCache::Reserve(int num_blocks) {
  const int missing = num_blocks - pool_.num_free();
  if (missing <= 0) return true;
  if (missing > pool_.num_cached()) return false;
  CHECK_GE(prefix_->Evict(missing), missing);
  return true;
}

// A state that anybody else refers to (a checkpoint) stays as it is.
bool KvCache::WritesInPlace(const GroupBlocks& group) const {
  return !group.blocks.empty() &&
         std::none_of(group.blocks.begin(), group.blocks.end(), [](const BlockRef& b) { return b.shared(); });
}

int KvCache::BlocksToExtend(const BlockTable& table, int num_tokens) const {
  int needed = 0;
  for (size_t g = 0; g < table.groups.size(); ++g) {
    const GroupBlocks& group = table.groups[g];
    if (StateWidth(g) > 0) {
      needed += WritesInPlace(group) ? 0 : StateWidth(g);
    } else {
      needed += std::max(0, CeilDiv(num_tokens, kKvBlockTokens) - static_cast<int>(group.blocks.size()));
    }
  }
  return needed;
}

bool KvCache::Extend(BlockTable& table, int num_tokens) {
  if (!Reserve(BlocksToExtend(table, num_tokens))) return false;
  for (size_t g = 0; g < table.groups.size(); ++g) {
    GroupBlocks& group = table.groups[g];
    if (StateWidth(g) == 0) {
      while (static_cast<int>(group.blocks.size()) * kKvBlockTokens < num_tokens)
        group.blocks.push_back(pool_.Allocate());
      continue;
    }
    const bool in_place = WritesInPlace(group);
    group.read_state = group.blocks;
    if (in_place) continue;
    group.blocks.clear();
    for (int b = 0; b < StateWidth(g); ++b) group.blocks.push_back(pool_.Allocate());
  }
  return true;
}

void KvCache::FreeOutsideWindow(BlockTable& table, int context_len) const {
  for (size_t g = 0; g < table.groups.size(); ++g) {
    if (options_.groups[g].kind != KvGroupKind::kWindow) continue;
    GroupBlocks& group = table.groups[g];
    const int first_seen = std::max(0, context_len - options_.groups[g].window_tokens + 1) / kKvBlockTokens;
    const int end = std::min(first_seen, static_cast<int>(group.blocks.size()));
    for (; group.first_live < end; ++group.first_live) group.blocks[group.first_live] = BlockRef();
  }
}

void KvCache::Truncate(BlockTable& table, int num_tokens) const {
  const size_t keep = CeilDiv(num_tokens, kKvBlockTokens);
  for (size_t g = 0; g < table.groups.size(); ++g) {
    if (StateWidth(g) == 0 && table.groups[g].blocks.size() > keep) table.groups[g].blocks.resize(keep);
  }
}

bool KvCache::Fork(const BlockTable& parent, int num_tokens, BlockTable& child, std::vector<BlockCopy>& copies) {
  const int full = num_tokens / kKvBlockTokens;
  const int partial = num_tokens % kKvBlockTokens;
  int needed = 0;
  for (size_t g = 0; g < parent.groups.size(); ++g) needed += StateWidth(g) > 0 ? StateWidth(g) : partial > 0;
  if (!Reserve(needed)) return false;
  child = NewTable();
  const auto copy = [&](const BlockRef& from, int tokens, size_t group) {
    child.groups[group].blocks.push_back(pool_.Allocate());
    copies.push_back({from.id(), child.groups[group].blocks.back().id(), tokens, static_cast<int>(group)});
    ++copied_blocks_;
  };
  for (size_t g = 0; g < parent.groups.size(); ++g) {
    const GroupBlocks& from = parent.groups[g];
    if (StateWidth(g) > 0) {
      for (const BlockRef& block : from.blocks) copy(block, kKvBlockTokens, g);
      continue;
    }
    child.groups[g].first_live = std::min(from.first_live, full);
    child.groups[g].blocks.assign(from.blocks.begin(), from.blocks.begin() + full);
    if (partial > 0) copy(from.blocks[full], partial, g);
  }
  if (parent.num_cached_blocks <= full) {
    child.cache_node = parent.cache_node;
    child.cache_generation = parent.cache_generation;
    child.num_cached_blocks = parent.num_cached_blocks;
  }
  return true;
}

bool KvCache::Move(BlockTable& from, BlockTable& to, BlockPool& pool, CopyKind kind, std::vector<BlockCopy>& copies) {
  to = NewTable();
  for (size_t g = 0; g < from.groups.size(); ++g) {
    GroupBlocks& source = from.groups[g];
    GroupBlocks& target = to.groups[g];
    target.first_live = source.first_live;
    for (const BlockRef& block : source.blocks) {
      target.blocks.push_back(block ? pool.Allocate() : BlockRef());
      if (!block) continue;
      CHECK(target.blocks.back());
      copies.push_back({block.id(), target.blocks.back().id(), kKvBlockTokens, static_cast<int>(g), kind});
      ++swapped_blocks_;
    }
  }
  from = NewTable();
  return true;
}

bool KvCache::SwapOut(BlockTable& table, BlockTable& host, std::vector<BlockCopy>& copies) {
  return NumBlocks(table) <= host_pool_.num_free() && Move(table, host, host_pool_, CopyKind::kToHost, copies);
}

bool KvCache::SwapIn(BlockTable& host, BlockTable& table, std::vector<BlockCopy>& copies) {
  return Reserve(NumBlocks(host)) && Move(host, table, pool_, CopyKind::kFromHost, copies);
}

int KvCache::NumBlocks(const BlockTable& table) const {
  int n = 0;
  for (const GroupBlocks& group : table.groups) {
    n += static_cast<int>(
        std::count_if(group.blocks.begin(), group.blocks.end(), [](const BlockRef& b) { return bool{b}; }));
  }
  return n;
}

void KvCache::AppendRow(const BlockTable& table, int num_tokens, std::vector<GroupTables>& tables) const {
  tables.resize(table.groups.size());
  for (size_t g = 0; g < table.groups.size(); ++g) {
    const GroupBlocks& group = table.groups[g];
    std::vector<BlockId>& ids = tables[g].block_ids;
    if (tables[g].row_start.empty()) tables[g].row_start.push_back(0);
    if (StateWidth(g) > 0) {
      for (int b = 0; b < StateWidth(g); ++b)
        ids.push_back(group.read_state.empty() ? kNullBlock : group.read_state[b].id());
      for (const BlockRef& block : group.blocks) ids.push_back(block.id());
    } else {
      for (int i = 0; i < CeilDiv(num_tokens, kKvBlockTokens); ++i) ids.push_back(group.blocks[i].id());
    }
    tables[g].row_start.push_back(static_cast<int32_t>(ids.size()));
  }
}

void KvCache::EndStep(BlockTable& table) const {
  for (GroupBlocks& group : table.groups) group.read_state.clear();
}

KvCacheStats KvCache::stats() const {
  KvCacheStats stats;
  stats.num_blocks = pool_.num_total();
  stats.num_free = pool_.num_free();
  stats.num_cached = pool_.num_cached();
  stats.num_in_use = pool_.num_in_use();
  stats.num_host_blocks = host_pool_.num_total();
  stats.num_host_in_use = host_pool_.num_in_use();
  stats.copied_blocks = copied_blocks_;
  stats.swapped_blocks = swapped_blocks_;
  if (prefix_ != nullptr) stats.prefix = prefix_->stats();
  return stats;
}

std::string KvCache::DescribeError() {
  for (const BlockPool* pool : {&pool_, &host_pool_}) {
    if (std::string error = pool->DescribeError(); !error.empty()) return error;
  }
  return prefix_ == nullptr ? "" : prefix_->DescribeError();
}

}  // namespace millrace
