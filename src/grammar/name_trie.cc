#include <algorithm>
#include <deque>

#include "grammar/program.h"

namespace millrace::grammar {

NameTrie NameTrie::Build(const std::vector<std::u32string>& names) {
  NameTrie trie;
  trie.nodes.push_back({.last = static_cast<uint32_t>(names.size())});
  struct Item {
    uint32_t node, depth;
  };
  std::deque<Item> queue = {{0, 0}};
  while (!queue.empty()) {
    const auto [node, depth] = queue.front();
    queue.pop_front();
    uint32_t i = trie.nodes[node].first;
    const uint32_t last = trie.nodes[node].last;
    if (i < last && names[i].size() == depth) trie.nodes[node].name = i++;
    trie.nodes[node].first_child = static_cast<uint32_t>(trie.nodes.size());
    while (i < last) {
      const char32_t c = names[i][depth];
      uint32_t end = i;
      while (end < last && names[end][depth] == c) ++end;
      queue.push_back({static_cast<uint32_t>(trie.nodes.size()), depth + 1});
      trie.nodes.push_back({.first = i, .last = end, .c = c});
      ++trie.nodes[node].num_children;
      i = end;
    }
  }
  return trie;
}

uint32_t NameTrie::Child(uint32_t node, uint32_t c) const {
  const auto begin = nodes.begin() + nodes[node].first_child;
  const auto end = begin + nodes[node].num_children;
  const auto it = std::lower_bound(begin, end, c, [](const Node& n, uint32_t value) { return n.c < value; });
  return it == end || it->c != c ? kNoState : static_cast<uint32_t>(it - nodes.begin());
}

}  // namespace millrace::grammar
