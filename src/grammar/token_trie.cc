#include "grammar/token_trie.h"

#include <algorithm>

namespace millrace::grammar {

TokenTrie::TokenTrie(std::vector<std::pair<std::string_view, TokenId>> entries) {
  std::sort(entries.begin(), entries.end());
  nodes_.clear();
  nodes_.push_back({0, 0, 0, 0, 0});
  std::vector<uint32_t> path = {0};  // open nodes by depth
  std::string_view previous;
  auto close_down_to = [&](size_t depth) {
    while (path.size() > depth + 1) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
      path.pop_back();
    }
  };
  for (auto [bytes, id] : entries) {
    bytes = bytes.substr(0, 65'535);
    if (bytes.empty()) continue;
    size_t common = 0;
    while (common < previous.size() && common < bytes.size() && previous[common] == bytes[common]) ++common;
    close_down_to(common);
    for (size_t d = common; d < bytes.size(); ++d) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back(
          {0, static_cast<uint32_t>(tokens_.size()), 0, static_cast<uint16_t>(d + 1), static_cast<uint8_t>(bytes[d])});
    }
    ++nodes_[path.back()].num_tokens;
    tokens_.push_back(id);
    previous = bytes;
  }
  close_down_to(0);
  nodes_[0].end = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({static_cast<uint32_t>(nodes_.size()), static_cast<uint32_t>(tokens_.size()), 0, 0, 0});
}

}  // namespace millrace::grammar
