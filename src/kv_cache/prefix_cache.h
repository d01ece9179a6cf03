// PrefixCache: which prefixes of token ids have their KV in blocks. A tree over full blocks: a node stands for
// kKvBlockTokens tokens after its parent's and holds their block of every KV group (of a recurrent group, the state
// after them, where one was kept).
//
// Tokens are compared, not hashes, so equal prefixes are found whatever the client sends; roots are separate per salt
// and adapter. A prefix of n blocks can be used when every full group has all n, every window group those that the next
// token sees, and every recurrent group the state after block n. A block only partly equal can be used by copying its
// first tokens.
//
// Eviction takes the lowest (pinned, priority, last use) among what nobody uses: leaf nodes whole, and window blocks
// and recurrent states of any node alone. A tenant beyond its quota pays with its own entries.
#pragma once

#include <array>
#include <climits>
#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/kv_spec.h"
#include "kv_cache/block_pool.h"
#include "kv_cache/block_table.h"

namespace millrace {

// Who may share an entry (salt, adapter) and whose quota it counts against (tenant).
struct CacheDomain {
  uint64_t salt = 0;
  int adapter = 0;
  std::string tenant;
};

struct PrefixCacheOptions {
  int max_blocks_per_tenant = INT_MAX;
  int max_pinned_nodes = INT_MAX;
};

// What Find found; valid until the next call that is not const.
struct PrefixMatch {
  std::vector<int32_t> nodes;  // the path, one node per full block that can be used
  int32_t partial_node = -1;   // shares its first partial_tokens tokens with what follows; -1: none
  int partial_tokens = 0;
  int num_idle_blocks = 0;  // cached blocks that Take puts in use

  int num_blocks() const { return static_cast<int>(nodes.size()); }
  int num_tokens() const { return num_blocks() * kKvBlockTokens + partial_tokens; }
};

struct PrefixCacheStats {
  int64_t inserted_blocks = 0;
  int64_t evicted_blocks = 0;
  int64_t quota_refusals = 0;  // full blocks not cached since their tenant is at its quota
  int num_nodes = 0;
  int num_pinned_nodes = 0;
};

// Invariants:
// 1. A node of a model with full groups holds a block of each; blocks_of(node) are marked cached in the pool and owned
// by this node alone.
// 2. evictable_ lists exactly the units (node, or one window or recurrent group of it) that nobody else refers to and
// that no child needs.
// 3. A sequence that refers to a block of a node refers to the full-group blocks of that node and its ancestors, unless
// it was forked before they were entered and they stand in the tree as others' copies. Idle blocks can all be evicted,
// then too. One thread.
class PrefixCache {
 public:
  PrefixCache(BlockPool& pool, const std::vector<KvGroupSpec>& groups, const PrefixCacheOptions& options);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The longest usable prefix of tokens, at most max_tokens of them.
  PrefixMatch Find(const CacheDomain& domain, std::span<const TokenId> tokens, int max_tokens) const;
  // Fills an empty table with the blocks of a match (without its partial block) and marks them used now.
  void Take(const PrefixMatch& match, BlockTable& table);
  // The blocks to copy the partial tokens from, one per group.
  std::vector<BlockRef> PartialSource(const PrefixMatch& match) const;

  // Enters the first num_blocks full blocks of a table, computed and known to be right. A table's block that is cached
  // already is replaced by the cached one. state[g] is the state of recurrent group g after those blocks, empty where
  // none was kept.
  void Insert(const CacheDomain& domain, std::span<const TokenId> tokens, int num_blocks, BlockTable& table,
              const std::vector<std::vector<BlockRef>>& state);
  // Forgets what this table entered and everything built on it; others that use the blocks keep them.
  void Forget(BlockTable& table);

  // Keeps a cached prefix until then, unless nothing else is left to evict. Returns the tokens kept.
  int Pin(const CacheDomain& domain, std::span<const TokenId> tokens, int64_t until_us);
  // Higher stays longer; 0 by default.
  void SetPriority(const CacheDomain& domain, std::span<const TokenId> tokens, int priority);
  // Ends the pins that are over.
  void AdvanceTime(int64_t now_us);

  // Frees at least num_blocks if that many are idle; returns how many.
  int Evict(int num_blocks);

  const PrefixCacheStats& stats() const { return stats_; }
  // Empty when the invariants hold.
  std::string DescribeError();

 private:
  using BlockTokens = std::array<TokenId, kKvBlockTokens>;
  struct Account;
  struct Node {
    int32_t parent = -1;
    uint32_t generation = 0;  // changes when the slot is reused
    int depth = 0;            // blocks up to and including this one; 0 for a root
    int num_children = 0;
    Account* account = nullptr;  // null for a root
    int priority = 0;
    int64_t pinned_until_us = 0;  // 0: not pinned
    uint64_t last_use = 0;
    uint32_t listed_units = 0;  // bit g: group g is listed in evictable_; bit 31: the whole node
    BlockTokens tokens{};
    std::vector<BlockRef> blocks;  // [sum of group widths]
  };
  // Order of eviction.
  struct Unit {
    bool pinned;
    int priority;
    uint64_t last_use;
    int32_t node;
    int group;  // kWholeNode or a group index
    auto operator<=>(const Unit&) const = default;
  };
  // What one tenant has cached; exists while it has a node.
  struct Account {
    int num_nodes = 0;
    int num_blocks = 0;
    std::set<Unit> evictable;
  };
  static constexpr int kWholeNode = 31;

  std::pair<int32_t, int> LongestCommonChild(int32_t parent, std::span<const TokenId> tokens) const;
  void FindPartial(int32_t parent, std::span<const TokenId> rest, PrefixMatch& match) const;
  int32_t FindRoot(const CacheDomain& domain) const;
  int32_t FindChild(int32_t parent, const BlockTokens& tokens) const;
  std::vector<int32_t> Path(const CacheDomain& domain, std::span<const TokenId> tokens, int max_blocks) const;
  int UsableBlocks(const std::vector<int32_t>& path) const;
  bool HasGroup(const Node& node, int group) const { return static_cast<bool>(node.blocks[group_begin_[group]]); }

  int32_t NewNode(int32_t parent, const BlockTokens& tokens, Account* account);
  int32_t StartOfInsert(const CacheDomain& domain, std::span<const TokenId> tokens, BlockTable& table, int& begin);
  int32_t EnterBlock(int32_t parent, const BlockTokens& tokens, Account* account, BlockTable& table, int index);
  void EnterState(int32_t id, const std::vector<std::vector<BlockRef>>& state);
  bool MakeRoom(Account& account, int num_blocks);
  void SetBlock(int32_t node, int index, BlockRef block);
  void DropBlock(Node& node, int index);
  int RemoveNode(int32_t id);
  void RemoveSubtree(int32_t id);
  int ForgetIdle(int num_blocks);
  void RemoveIfBare(int32_t id);
  void ForgetBareAccounts();
  int EvictUnit(const Unit& unit);
  Unit MakeUnit(int32_t id, int group) const;
  void Unlist(int32_t id);
  void List(int32_t id);
  void ListIdle();
  void SetPinned(int32_t id, int64_t until_us);

  BlockPool& pool_;
  const std::vector<KvGroupSpec> groups_;
  const PrefixCacheOptions options_;
  std::vector<int> group_begin_;     // [num_groups + 1] into Node::blocks
  std::vector<bool> evicted_alone_;  // window and recurrent groups
  bool has_recurrent_ = false;

  std::vector<Node> nodes_;
  std::vector<int32_t> free_nodes_;
  std::vector<int32_t> owner_;  // [blocks of the pool] node that holds it or -1
  std::map<std::pair<uint64_t, int>, int32_t> roots_;
  std::map<std::pair<int32_t, BlockTokens>, int32_t> children_;
  std::map<std::string, Account> accounts_;
  std::set<Unit> evictable_;
  std::set<std::pair<int64_t, int32_t>> pins_;  // (until, node)
  bool has_bare_account_ = false;
  uint64_t clock_ = 0;  // counts uses
  PrefixCacheStats stats_;
};

}  // namespace millrace
