// Entering, forgetting and evicting nodes of the prefix tree.
#include <algorithm>

#include "base/check.h"
#include "kv_cache/prefix_cache.h"

namespace millrace {

int32_t PrefixCache::NewNode(int32_t parent, const BlockTokens& tokens, Account* account) {
  int32_t id;
  if (free_nodes_.empty()) {
    id = static_cast<int32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = free_nodes_.back();
    free_nodes_.pop_back();
  }
  Node& node = nodes_[id];
  node.parent = parent;
  node.account = account;
  node.tokens = tokens;
  node.last_use = clock_;
  node.blocks.resize(group_begin_.back());
  if (parent >= 0) {
    node.depth = nodes_[parent].depth + 1;
    ++account->num_nodes;
    children_.emplace(std::pair(parent, tokens), id);
    Unlist(parent);
    ++nodes_[parent].num_children;
    List(parent);
    ++stats_.num_nodes;
  }
  return id;
}

void PrefixCache::SetBlock(int32_t id, int index, BlockRef block) {
  Node& node = nodes_[id];
  CHECK(!node.blocks[index]);
  CHECK_EQ(owner_[block.id()], -1);
  pool_.SetCached(block.id(), true);
  owner_[block.id()] = id;
  node.blocks[index] = std::move(block);
  ++node.account->num_blocks;
  ++stats_.inserted_blocks;
}

void PrefixCache::DropBlock(Node& node, int index) {
  BlockRef block = std::move(node.blocks[index]);
  if (!block) return;
  owner_[block.id()] = -1;
  pool_.SetCached(block.id(), false);
  --node.account->num_blocks;
}

// Where Insert goes on: the node of the last cached block of the table, with `begin` the next block; or the root with
// 0.
int32_t PrefixCache::StartOfInsert(const CacheDomain& domain, std::span<const TokenId> tokens, BlockTable& table,
                                   int& begin) {
  const int32_t id = table.cache_node;
  if (id >= 0 && id < static_cast<int32_t>(nodes_.size()) && nodes_[id].generation == table.cache_generation &&
      nodes_[id].depth == table.num_cached_blocks) {
    begin = table.num_cached_blocks;
    return id;
  }
  begin = 0;
  if (tokens.empty()) return -1;
  const int32_t root = FindRoot(domain);
  if (root >= 0) return root;
  const int32_t made = NewNode(-1, {}, nullptr);
  roots_[{domain.salt, domain.adapter}] = made;
  return made;
}

void PrefixCache::Insert(const CacheDomain& domain, std::span<const TokenId> tokens, int num_blocks, BlockTable& table,
                         const std::vector<std::vector<BlockRef>>& state) {
  CHECK_LE(num_blocks * kKvBlockTokens, static_cast<int>(tokens.size()));
  if (num_blocks == 0) return;
  ListIdle();
  ++clock_;
  int begin = 0;
  int32_t node = StartOfInsert(domain, tokens, table, begin);
  Account& account = accounts_[domain.tenant];
  uint32_t generation = nodes_[node].generation;  // a full quota can cost this very node
  int done = begin;
  for (; done < num_blocks; ++done) {
    BlockTokens block;
    std::copy_n(tokens.begin() + done * kKvBlockTokens, kKvBlockTokens, block.begin());
    const int32_t child = EnterBlock(node, block, &account, table, done);
    if (child < 0) break;
    node = child;
    generation = nodes_[node].generation;
  }
  if (done == num_blocks) EnterState(node, state);
  table.cache_node = done > 0 ? node : -1;
  table.cache_generation = generation;
  table.num_cached_blocks = done;
  if (nodes_[node].generation == generation) RemoveIfBare(node);
  has_bare_account_ |= account.num_nodes == 0;
  ForgetBareAccounts();
}

void PrefixCache::EnterState(int32_t id, const std::vector<std::vector<BlockRef>>& state) {
  const uint32_t generation = nodes_[id].generation;
  for (size_t g = 0; g < state.size(); ++g) {
    if (state[g].empty() || HasGroup(nodes_[id], static_cast<int>(g))) continue;
    if (!MakeRoom(*nodes_[id].account, static_cast<int>(state[g].size())) || nodes_[id].generation != generation)
      return;
    Unlist(id);
    for (size_t b = 0; b < state[g].size(); ++b) SetBlock(id, group_begin_[g] + static_cast<int>(b), state[g][b]);
    List(id);
  }
}

// The child of parent for block `index` of the table, made if need be; -1 when the tenant's quota is full.
int32_t PrefixCache::EnterBlock(int32_t parent, const BlockTokens& tokens, Account* account, BlockTable& table,
                                int index) {
  int32_t id = FindChild(parent, tokens);
  if (id < 0) {
    int needed = 0;
    for (const GroupBlocks& group : table.groups) needed += index < static_cast<int>(group.blocks.size());
    const uint32_t generation = nodes_[parent].generation;
    if (!MakeRoom(*account, needed) || nodes_[parent].generation != generation) {
      ++stats_.quota_refusals;
      return -1;
    }
    id = NewNode(parent, tokens, account);
    table.first_created_block = std::min(table.first_created_block, index);
  }
  Unlist(id);
  nodes_[id].last_use = clock_;
  for (size_t g = 0; g < groups_.size(); ++g) {
    if (groups_[g].kind == KvGroupKind::kRecurrent || index >= static_cast<int>(table.groups[g].blocks.size()))
      continue;
    BlockRef& own = table.groups[g].blocks[index];
    if (!own) continue;
    const BlockRef& cached = nodes_[id].blocks[group_begin_[g]];
    if (!cached) {
      SetBlock(id, group_begin_[g], own);
    } else if (cached.id() != own.id()) {
      own = cached;
    }
  }
  List(id);
  return id;
}

// Evicts the tenant's own entries until num_blocks more are within its quota.
bool PrefixCache::MakeRoom(Account& account, int num_blocks) {
  while (account.num_blocks + num_blocks > options_.max_blocks_per_tenant) {
    ListIdle();
    if (account.evictable.empty()) return false;
    // The account outlives this eviction: the tenant is entering blocks.
    EvictUnit(*account.evictable.begin());
  }
  return true;
}

void PrefixCache::Forget(BlockTable& table) {
  if (table.first_created_block >= table.num_cached_blocks) return;
  ListIdle();
  int32_t node = table.cache_node;
  if (node < 0 || nodes_[node].generation != table.cache_generation) return;
  while (nodes_[node].depth > table.first_created_block + 1) node = nodes_[node].parent;
  const int32_t parent = nodes_[node].parent;
  RemoveSubtree(node);
  RemoveIfBare(parent);
  ForgetBareAccounts();
  table.cache_node = -1;
  table.num_cached_blocks = 0;
  table.first_created_block = INT_MAX;
}

void PrefixCache::RemoveSubtree(int32_t top) {
  std::vector<int32_t> order = {top};  // parents before children
  for (size_t i = 0; i < order.size(); ++i) {
    BlockTokens lowest;
    lowest.fill(INT32_MIN);
    for (auto it = children_.lower_bound({order[i], lowest}); it != children_.end() && it->first.first == order[i];
         ++it) {
      order.push_back(it->second);
    }
  }
  for (size_t i = order.size(); i-- > 0;) RemoveNode(order[i]);
}

// Takes a childless node out of the tree; returns the blocks that became free.
int PrefixCache::RemoveNode(int32_t id) {
  CHECK_EQ(nodes_[id].num_children, 0);
  if (nodes_[id].pinned_until_us != 0) SetPinned(id, 0);
  Unlist(id);
  Node& node = nodes_[id];
  const int free_before = pool_.num_free();
  for (int b = 0; b < group_begin_.back(); ++b) DropBlock(node, b);
  const int32_t parent = node.parent;
  children_.erase({parent, node.tokens});
  --stats_.num_nodes;
  has_bare_account_ |= --node.account->num_nodes == 0;
  const uint32_t generation = node.generation + 1;
  node = Node();
  node.generation = generation;
  free_nodes_.push_back(id);
  Unlist(parent);
  --nodes_[parent].num_children;
  List(parent);
  return pool_.num_free() - free_before;
}

// Removes a node that holds nothing and leads nowhere, and so its ancestors.
void PrefixCache::RemoveIfBare(int32_t id) {
  while (id >= 0 && nodes_[id].num_children == 0) {
    Node& node = nodes_[id];
    if (std::any_of(node.blocks.begin(), node.blocks.end(), [](const BlockRef& b) { return static_cast<bool>(b); }))
      return;
    if (node.parent < 0) {
      std::erase_if(roots_, [&](const auto& root) { return root.second == id; });
      const uint32_t generation = node.generation + 1;
      node = Node();
      node.generation = generation;
      free_nodes_.push_back(id);
      return;
    }
    const int32_t parent = node.parent;
    RemoveNode(id);
    id = parent;
  }
}

void PrefixCache::ForgetBareAccounts() {
  if (has_bare_account_) std::erase_if(accounts_, [](const auto& account) { return account.second.num_nodes == 0; });
  has_bare_account_ = false;
}

int PrefixCache::Evict(int num_blocks) {
  ListIdle();
  int freed = 0;
  while (freed < num_blocks && !evictable_.empty()) freed += EvictUnit(*evictable_.begin());
  if (freed < num_blocks) freed += ForgetIdle(num_blocks - freed);
  ForgetBareAccounts();
  return freed;
}

// Idle blocks that others in use lie beside or below (invariant 3): those in use leave the tree with them, and come
// back when their sequence enters its next blocks.
int PrefixCache::ForgetIdle(int num_blocks) {
  int freed = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(nodes_.size()) && freed < num_blocks; ++id) {
    const std::vector<BlockRef>& blocks = nodes_[id].blocks;
    if (std::none_of(blocks.begin(), blocks.end(), [&](const BlockRef& b) { return b && pool_.is_idle(b.id()); }))
      continue;
    const int free_before = pool_.num_free();
    const int32_t parent = nodes_[id].parent;
    RemoveSubtree(id);
    RemoveIfBare(parent);
    freed += pool_.num_free() - free_before;
  }
  stats_.evicted_blocks += freed;
  return freed;
}

int PrefixCache::EvictUnit(const Unit& unit) {
  const int32_t id = unit.node;
  const int group = unit.group;
  int freed = 0;
  const int32_t parent = nodes_[id].parent;
  if (group == kWholeNode) {
    freed = RemoveNode(id);
    RemoveIfBare(parent);
  } else {
    Unlist(id);
    const int free_before = pool_.num_free();
    for (int b = group_begin_[group]; b < group_begin_[group + 1]; ++b) DropBlock(nodes_[id], b);
    freed = pool_.num_free() - free_before;
    List(id);
    RemoveIfBare(id);
  }
  stats_.evicted_blocks += freed;
  return freed;
}

PrefixCache::Unit PrefixCache::MakeUnit(int32_t id, int group) const {
  const Node& node = nodes_[id];
  return {node.pinned_until_us != 0, node.priority, node.last_use, id, group};
}

// Must come before any change of what MakeUnit or List read; List after it.
void PrefixCache::Unlist(int32_t id) {
  Node& node = nodes_[id];
  for (int g = 0; node.listed_units != 0; ++g) {
    if ((node.listed_units >> g & 1) == 0) continue;
    evictable_.erase(MakeUnit(id, g));
    node.account->evictable.erase(MakeUnit(id, g));
    node.listed_units &= ~(uint32_t{1} << g);
  }
}

void PrefixCache::List(int32_t id) {
  Node& node = nodes_[id];
  if (node.parent < 0) return;
  uint32_t idle = 0;
  bool all_idle = true;
  bool any = false;
  for (size_t g = 0; g < groups_.size(); ++g) {
    bool group_idle = HasGroup(node, static_cast<int>(g));
    any |= group_idle;
    for (int b = group_begin_[g]; b < group_begin_[g + 1] && group_idle; ++b) {
      group_idle = pool_.is_idle(node.blocks[b].id());
      all_idle &= group_idle;
    }
    if (group_idle && evicted_alone_[g]) idle |= uint32_t{1} << g;
  }
  if (any && all_idle && node.num_children == 0) idle = uint32_t{1} << kWholeNode;
  node.listed_units = idle;
  for (int g = 0; g <= kWholeNode; ++g) {
    if ((idle >> g & 1) == 0) continue;
    evictable_.insert(MakeUnit(id, g));
    node.account->evictable.insert(MakeUnit(id, g));
  }
}

void PrefixCache::ListIdle() {
  for (BlockId block : pool_.TakeIdle()) {
    const int32_t id = owner_[block];
    if (id < 0) continue;
    Unlist(id);
    List(id);
  }
}

std::string PrefixCache::DescribeError() {
  ListIdle();
  int listed = 0;
  for (const Unit& unit : evictable_) {
    const Node& node = nodes_[unit.node];
    if ((node.listed_units >> unit.group & 1) == 0) return fmt::format("node {} is listed without its mark", unit.node);
    ++listed;
  }
  int held = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(nodes_.size()); ++id) {
    const Node& node = nodes_[id];
    listed -= __builtin_popcount(node.listed_units);
    for (const BlockRef& block : node.blocks) {
      if (!block) continue;
      ++held;
      if (owner_[block.id()] != id) return fmt::format("block {} has a wrong owner", block.id());
    }
    if (node.parent < 0 || node.depth == 0) continue;
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (!evicted_alone_[g] && !HasGroup(node, static_cast<int>(g)))
        return fmt::format("node {} lacks group {}", id, g);
    }
  }
  if (listed != 0) return "evictable_ and the marks of the nodes differ";
  for (const auto& [tenant, account] : accounts_) held -= account.num_blocks;
  if (held != 0) return "the accounts' blocks do not add up";
  return "";
}

}  // namespace millrace
