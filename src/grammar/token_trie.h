// TokenTrie: the bytes of a set of tokens as a trie in depth-first order, so that a walk is one pass over an array and
// skipping a subtree is one assignment.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace millrace::grammar {

class TokenTrie {
 public:
  struct Node {
    uint32_t end;          // first node after this subtree
    uint32_t first_token;  // tokens of a subtree are contiguous: [first_token, nodes[end].first_token)
    uint16_t num_tokens;   // that end exactly here
    uint16_t depth;        // bytes from the root
    uint8_t byte;          // last byte of the path
  };

  TokenTrie() = default;
  // Entries are (bytes, token id) in any order; an empty byte string is ignored. Bytes beyond 65,535 are cut off.
  explicit TokenTrie(std::vector<std::pair<std::string_view, TokenId>> entries);

  // Node 0 is the root; the sentinel behind the last node is not a node.
  uint32_t num_nodes() const { return static_cast<uint32_t>(nodes_.size()) - 1; }
  const Node& node(uint32_t i) const { return nodes_[i]; }
  const Node* nodes() const { return nodes_.data(); }
  std::span<const TokenId> TokensAt(uint32_t i) const {
    return {&tokens_[nodes_[i].first_token], nodes_[i].num_tokens};
  }
  std::span<const TokenId> TokensBelow(uint32_t i) const {
    return {tokens_.data() + nodes_[i].first_token, nodes_[nodes_[i].end].first_token - nodes_[i].first_token};
  }
  bool HasChildren(uint32_t i) const { return nodes_[i].end > i + 1; }
  size_t size_bytes() const { return nodes_.size() * sizeof(Node) + tokens_.size() * sizeof(TokenId); }

 private:
  std::vector<Node> nodes_ = {{0, 0, 0, 0, 0}};
  std::vector<TokenId> tokens_;
};

}  // namespace millrace::grammar
