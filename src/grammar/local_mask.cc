#include "grammar/local_mask.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace millrace::grammar {
namespace {

// Below this many tokens a list is smaller and quicker to apply than a bitmask.
constexpr size_t kMaxListedTokens = 1024;

struct ExitNode {
  uint32_t node;
  uint16_t label;
};

// The remaining bytes of the tokens below the exit nodes, without those that the lexeme accepts anyway.
std::vector<LocalMask::Exit> CollectExits(const std::vector<ExitNode>& nodes, const TokenTrie& trie,
                                          const std::vector<uint32_t>& accepted) {
  // Paths are rebuilt into one buffer; string_views point into it once it is complete.
  struct Entry {
    uint16_t label;
    size_t offset, size;
    TokenId id;
  };
  std::string buffer;
  std::vector<Entry> entries;
  std::string path;
  for (const ExitNode& exit : nodes) {
    const uint32_t base = trie.node(exit.node).depth;
    path.clear();
    for (uint32_t i = exit.node + 1; i < trie.node(exit.node).end; ++i) {
      path.resize(trie.node(i).depth - base);
      path.back() = static_cast<char>(trie.node(i).byte);
      for (TokenId id : trie.TokensAt(i)) {
        if ((accepted[static_cast<size_t>(id) / 32] >> (id % 32)) & 1) continue;
        entries.push_back({exit.label, buffer.size(), path.size(), id});
        buffer += path;
      }
    }
  }
  std::map<uint16_t, std::vector<std::pair<std::string_view, TokenId>>> by_label;
  for (const Entry& e : entries)
    by_label[e.label].emplace_back(std::string_view(buffer).substr(e.offset, e.size), e.id);
  std::vector<LocalMask::Exit> exits;
  for (auto& [label, list] : by_label) exits.push_back({label, TokenTrie(std::move(list))});
  return exits;
}

}  // namespace

size_t LocalMask::size_bytes() const {
  size_t bytes = sizeof(LocalMask) + bits.size() * 4 + ids.size() * 4 + finite_ids.size() * 4;
  for (const Exit& exit : exits) bytes += sizeof(Exit) + exit.rest.size_bytes();
  return bytes;
}

LocalMask ComputeLocalMask(const Terminal& terminal, LexState state, const TokenTrie& trie, size_t num_words) {
  LocalMask mask;
  mask.bits.assign(num_words, 0);
  std::vector<LexState> states(2, state);
  std::vector<ExitNode> exits;
  size_t count = 0;
  const TokenTrie::Node* nodes = trie.nodes();
  const uint32_t n = trie.num_nodes();
  for (uint32_t i = 1; i < n;) {
    const TokenTrie::Node& node = nodes[i];
    if (node.depth >= states.size()) states.resize(node.depth + 1);
    LexState& next = states[node.depth];
    next = states[node.depth - 1];
    if (!terminal.Step(next, node.byte)) {
      i = node.end;
      continue;
    }
    const bool accepts = terminal.Accepts(next);
    const bool finite = !terminal.finite.empty() && (accepts || terminal.finite[next.q]);
    for (TokenId id : trie.TokensAt(i)) {
      mask.bits[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
      if (finite && !accepts) mask.finite_ids.push_back(id);
      ++count;
    }
    if (accepts && trie.HasChildren(i)) exits.push_back({i, terminal.Label(next)});
    ++i;
  }
  mask.exits = CollectExits(exits, trie, mask.bits);
  if (count <= kMaxListedTokens) {
    for (size_t w = 0; w < num_words; ++w) {
      for (uint32_t word = mask.bits[w]; word != 0; word &= word - 1) {
        mask.ids.push_back(static_cast<TokenId>(w * 32 + static_cast<size_t>(__builtin_ctz(word))));
      }
    }
    mask.bits = {};
  }
  return mask;
}

std::shared_ptr<const LocalMask> MaskCache::Find(const MaskKey& key) const {
  const std::lock_guard lock(mutex_);
  auto it = masks_.find(key);
  return it == masks_.end() ? nullptr : it->second;
}

std::shared_ptr<const LocalMask> MaskCache::Insert(const MaskKey& key, LocalMask mask) {
  auto shared = std::make_shared<const LocalMask>(std::move(mask));
  const std::lock_guard lock(mutex_);
  if (bytes_ + shared->size_bytes() > max_bytes_) return shared;
  auto [it, inserted] = masks_.try_emplace(key, shared);
  if (inserted) bytes_ += shared->size_bytes();
  return it->second;
}

size_t MaskCache::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace millrace::grammar
