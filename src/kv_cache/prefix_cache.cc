#include "kv_cache/prefix_cache.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"

namespace millrace {

PrefixCache::PrefixCache(BlockPool& pool, const std::vector<KvGroupSpec>& groups, const PrefixCacheOptions& options)
    : pool_(pool), groups_(groups), options_(options), owner_(pool.num_total(), -1) {
  CHECK(!groups.empty() && groups.size() < kWholeNode, "{} KV groups", groups.size());
  const int64_t block_bytes = PoolBlockBytes(groups_);
  group_begin_ = {0};
  for (const KvGroupSpec& group : groups_) {
    const bool recurrent = group.kind == KvGroupKind::kRecurrent;
    group_begin_.push_back(group_begin_.back() + (recurrent ? BlocksPerState(group, block_bytes) : 1));
    evicted_alone_.push_back(recurrent || group.kind == KvGroupKind::kWindow);
    has_recurrent_ |= recurrent;
  }
}

PrefixCache::~PrefixCache() {
  for (Node& node : nodes_) {
    for (BlockRef& block : node.blocks) {
      if (block) pool_.SetCached(block.id(), false);
    }
  }
}

int32_t PrefixCache::FindRoot(const CacheDomain& domain) const {
  const auto it = roots_.find({domain.salt, domain.adapter});
  return it == roots_.end() ? -1 : it->second;
}

int32_t PrefixCache::FindChild(int32_t parent, const BlockTokens& tokens) const {
  const auto it = children_.find({parent, tokens});
  return it == children_.end() ? -1 : it->second;
}

// The nodes of full blocks of tokens, from the root's child on.
std::vector<int32_t> PrefixCache::Path(const CacheDomain& domain, std::span<const TokenId> tokens,
                                       int max_blocks) const {
  std::vector<int32_t> path;
  int32_t node = FindRoot(domain);
  while (node >= 0 && static_cast<int>(path.size()) < max_blocks) {
    BlockTokens block;
    std::copy_n(tokens.begin() + static_cast<int64_t>(path.size()) * kKvBlockTokens, kKvBlockTokens, block.begin());
    node = FindChild(node, block);
    if (node >= 0) path.push_back(node);
  }
  return path;
}

// The most blocks of the path after which every group has what the next token reads.
int PrefixCache::UsableBlocks(const std::vector<int32_t>& path) const {
  int usable = 0;
  std::vector<int> run(groups_.size(), 0);  // blocks of the group without a hole, up to the current node
  for (int n = 1; n <= static_cast<int>(path.size()); ++n) {
    const Node& node = nodes_[path[n - 1]];
    bool fits = true;
    for (size_t g = 0; g < groups_.size(); ++g) {
      run[g] = HasGroup(node, static_cast<int>(g)) ? run[g] + 1 : 0;
      int needed = n;
      if (groups_[g].kind == KvGroupKind::kRecurrent) needed = 1;
      if (groups_[g].kind == KvGroupKind::kWindow) {
        needed = n - std::max(0, n * kKvBlockTokens - groups_[g].window_tokens + 1) / kKvBlockTokens;
      }
      fits &= run[g] >= needed;
    }
    if (fits) usable = n;
  }
  return usable;
}

// The child that shares most tokens: children are in lexicographic order, so it is one of the two neighbours of the
// tokens.
std::pair<int32_t, int> PrefixCache::LongestCommonChild(int32_t parent, std::span<const TokenId> tokens) const {
  BlockTokens wanted;
  wanted.fill(-1);
  std::copy(tokens.begin(), tokens.end(), wanted.begin());
  std::pair<int32_t, int> best = {-1, 0};
  const auto consider = [&](auto it) {
    if (it->first.first != parent) return;
    const BlockTokens& other = it->first.second;
    const auto end = std::mismatch(tokens.begin(), tokens.end(), other.begin()).first;
    const int common = static_cast<int>(end - tokens.begin());
    if (common > best.second) best = {it->second, common};
  };
  const auto next = children_.lower_bound({parent, wanted});
  if (next != children_.end()) consider(next);
  if (next != children_.begin()) consider(std::prev(next));
  return best;
}

PrefixMatch PrefixCache::Find(const CacheDomain& domain, std::span<const TokenId> tokens, int max_tokens) const {
  PrefixMatch match;
  max_tokens = std::min(max_tokens, static_cast<int>(tokens.size()));
  match.nodes = Path(domain, tokens, max_tokens / kKvBlockTokens);
  const int found = match.num_blocks();
  const int usable = UsableBlocks(match.nodes);
  match.nodes.resize(usable);
  if (usable == found && !has_recurrent_) {
    const int begin = usable * kKvBlockTokens;
    const std::span<const TokenId> rest = tokens.subspan(begin, std::min(kKvBlockTokens, max_tokens - begin));
    const int32_t parent = usable > 0 ? match.nodes.back() : FindRoot(domain);
    if (parent >= 0 && !rest.empty()) FindPartial(parent, rest, match);
  }
  for (int i = 0; i < usable; ++i) {
    for (size_t g = 0; g < groups_.size(); ++g) {
      const bool recurrent = groups_[g].kind == KvGroupKind::kRecurrent;
      if (recurrent && i != usable - 1) continue;
      for (int b = group_begin_[g]; b < group_begin_[g + 1]; ++b) {
        const BlockRef& block = nodes_[match.nodes[i]].blocks[b];
        match.num_idle_blocks += block && pool_.is_idle(block.id());
      }
    }
  }
  return match;
}

void PrefixCache::FindPartial(int32_t parent, std::span<const TokenId> rest, PrefixMatch& match) const {
  const auto [child, common] = LongestCommonChild(parent, rest);
  if (child < 0) return;
  for (size_t g = 0; g < groups_.size(); ++g) {
    if (!HasGroup(nodes_[child], static_cast<int>(g))) return;
  }
  match.partial_node = child;
  match.partial_tokens = common;
}

void PrefixCache::Take(const PrefixMatch& match, BlockTable& table) {
  ListIdle();
  ++clock_;
  const int n = match.num_blocks();
  for (size_t g = 0; g < groups_.size(); ++g) {
    GroupBlocks& group = table.groups[g];
    CHECK(group.blocks.empty());
    if (n == 0) continue;
    if (groups_[g].kind == KvGroupKind::kRecurrent) {
      const std::vector<BlockRef>& blocks = nodes_[match.nodes.back()].blocks;
      group.blocks.assign(blocks.begin() + group_begin_[g], blocks.begin() + group_begin_[g + 1]);
      continue;
    }
    if (groups_[g].kind == KvGroupKind::kWindow) {
      group.first_live = std::max(0, n * kKvBlockTokens - groups_[g].window_tokens + 1) / kKvBlockTokens;
    }
    group.blocks.resize(n);
    for (int i = group.first_live; i < n; ++i) group.blocks[i] = nodes_[match.nodes[i]].blocks[group_begin_[g]];
  }
  for (int32_t id : match.nodes) {
    Unlist(id);
    nodes_[id].last_use = clock_;
    List(id);
  }
  table.num_cached_blocks = n;
  if (n > 0) {
    table.cache_node = match.nodes.back();
    table.cache_generation = nodes_[table.cache_node].generation;
  }
}

std::vector<BlockRef> PrefixCache::PartialSource(const PrefixMatch& match) const {
  std::vector<BlockRef> source;
  for (size_t g = 0; g < groups_.size(); ++g) source.push_back(nodes_[match.partial_node].blocks[group_begin_[g]]);
  return source;
}

int PrefixCache::Pin(const CacheDomain& domain, std::span<const TokenId> tokens, int64_t until_us) {
  int pinned = 0;
  for (int32_t id : Path(domain, tokens, static_cast<int>(tokens.size()) / kKvBlockTokens)) {
    if (nodes_[id].pinned_until_us == 0 && stats_.num_pinned_nodes >= options_.max_pinned_nodes) break;
    SetPinned(id, std::max(until_us, nodes_[id].pinned_until_us));
    pinned += kKvBlockTokens;
  }
  return pinned;
}

void PrefixCache::SetPriority(const CacheDomain& domain, std::span<const TokenId> tokens, int priority) {
  for (int32_t id : Path(domain, tokens, static_cast<int>(tokens.size()) / kKvBlockTokens)) {
    Unlist(id);
    nodes_[id].priority = priority;
    List(id);
  }
}

void PrefixCache::SetPinned(int32_t id, int64_t until_us) {
  Node& node = nodes_[id];
  Unlist(id);
  if (node.pinned_until_us != 0) {
    pins_.erase({node.pinned_until_us, id});
    --stats_.num_pinned_nodes;
  }
  node.pinned_until_us = until_us;
  if (until_us != 0) {
    pins_.insert({until_us, id});
    ++stats_.num_pinned_nodes;
  }
  List(id);
}

void PrefixCache::AdvanceTime(int64_t now_us) {
  while (!pins_.empty() && pins_.begin()->first <= now_us) SetPinned(pins_.begin()->second, 0);
}

}  // namespace millrace
