#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <numeric>

#include "tokenizer/unicode.h"

namespace millrace {
namespace {

// The character that ends at `at`.
Utf8Char CharBefore(std::string_view text, size_t at) {
  size_t begin = at - 1;
  while (begin > 0 && at - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  const Utf8Char c = DecodeUtf8(text.data() + begin, text.data() + at);
  return begin + c.size == at ? c : Utf8Char{kInvalidChar, 1};
}

// \w: letters, marks, numbers, connector punctuation.
bool IsWordChar(uint32_t code) {
  return (CharTable::Get().Flags(code) & (kLetter | kMark | kNumber)) != 0 || code == '_' || code == 0x203F ||
         code == 0x2040;
}

bool IsSpaceChar(uint32_t code) {
  return (CharTable::Get().Flags(code) & kSpace) != 0;
}

// True when a user wrote a byte of [begin, end).
bool TouchesUntrusted(const EncodeOptions& options, size_t begin, size_t end) {
  const auto range = std::upper_bound(options.untrusted.begin(), options.untrusted.end(), begin,
                                      [](size_t at, const std::pair<size_t, size_t>& r) { return at < r.second; });
  return range != options.untrusted.end() && range->first < end;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::vector<uint32_t> order(tokens_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [this](uint32_t a, uint32_t b) { return tokens_[a].content < tokens_[b].content; });
  for (const AddedToken& token : tokens_) starts_[static_cast<unsigned char>(token.content[0])] = true;
  // Breadth-first, so that the depth of a token's text never becomes depth of the call stack.
  struct Range {
    uint32_t node;
    size_t begin, end, depth;
  };
  std::vector<Range> queue = {{0, 0, order.size(), 0}};
  nodes_.emplace_back();
  for (size_t q = 0; q < queue.size(); ++q) {
    Range range = queue[q];
    while (range.begin < range.end && tokens_[order[range.begin]].content.size() == range.depth) {
      nodes_[range.node].token = static_cast<int32_t>(order[range.begin++]);
    }
    nodes_[range.node].first_edge = static_cast<uint32_t>(edges_.size());
    while (range.begin < range.end) {
      const char byte = tokens_[order[range.begin]].content[range.depth];
      size_t end = range.begin;
      while (end < range.end && tokens_[order[end]].content[range.depth] == byte) ++end;
      edges_.push_back({static_cast<unsigned char>(byte), static_cast<uint32_t>(nodes_.size())});
      queue.push_back({static_cast<uint32_t>(nodes_.size()), range.begin, end, range.depth + 1});
      nodes_.emplace_back();
      range.begin = end;
    }
    nodes_[range.node].num_edges = static_cast<uint32_t>(edges_.size()) - nodes_[range.node].first_edge;
  }
}

const AddedToken* AddedTokenMatcher::MatchAt(std::string_view text, size_t at, size_t offset,
                                             const EncodeOptions& options) const {
  const AddedToken* best = nullptr;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto first = edges_.begin() + nodes_[node].first_edge;
    const auto last = first + nodes_[node].num_edges;
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto edge = std::lower_bound(first, last, byte, [](const Edge& e, unsigned char b) { return e.byte < b; });
    if (edge == last || edge->byte != byte) break;
    node = edge->node;
    if (nodes_[node].token < 0) continue;
    const AddedToken& token = tokens_[static_cast<size_t>(nodes_[node].token)];
    const bool allowed =
        !token.special || (options.parse_special && !TouchesUntrusted(options, offset + at, offset + i + 1));
    if (allowed) best = &token;
  }
  return best;
}

bool AddedTokenMatcher::TouchesWord(std::string_view text, size_t begin, size_t end) const {
  if (begin > 0 && IsWordChar(CharBefore(text, begin).code)) return true;
  return end < text.size() && IsWordChar(DecodeUtf8(text.data() + end, text.data() + text.size()).code);
}

void AddedTokenMatcher::Split(std::string_view text, size_t offset, const EncodeOptions& options,
                              std::vector<Piece>* pieces) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token =
        starts_[static_cast<unsigned char>(text[at])] ? MatchAt(text, at, offset, options) : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->content.size();
    at = end;
    if (token->single_word && TouchesWord(text, begin, end)) continue;
    while (token->lstrip && begin > done) {
      const Utf8Char c = CharBefore(text, begin);
      if (!IsSpaceChar(c.code)) break;
      begin -= c.size;
    }
    while (token->rstrip && end < text.size()) {
      const Utf8Char c = DecodeUtf8(text.data() + end, text.data() + text.size());
      if (!IsSpaceChar(c.code)) break;
      end += c.size;
    }
    if (begin > done) pieces->push_back({{static_cast<uint32_t>(done), static_cast<uint32_t>(begin)}, -1});
    pieces->push_back({{static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}, token->id, token->normalized});
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) pieces->push_back({{static_cast<uint32_t>(done), static_cast<uint32_t>(text.size())}, -1});
}

}  // namespace millrace
