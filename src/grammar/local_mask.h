// LocalMask: which tokens a lexeme in progress accepts by itself, whatever surrounds it, and which tokens leave it and
// go on with what follows (only those are looked at per step). Computed once per lexeme state and shared.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/terminal.h"
#include "grammar/token_trie.h"

namespace millrace::grammar {

struct LocalMask {
  // Accepted tokens, as bits when they are many, else as a list.
  std::vector<uint32_t> bits;
  std::vector<TokenId> ids;
  // Tokens that are not accepted above and leave the lexeme after at least one byte: their remaining bytes, merged over
  // all the ways to leave with one label. Every path is non-empty.
  struct Exit {
    uint16_t label = 0;
    TokenTrie rest;
  };
  std::vector<Exit> exits;
  // Accepted tokens after which only finitely many words remain (Terminal::finite).
  std::vector<TokenId> finite_ids;

  size_t size_bytes() const;
};

// Walks the whole trie once. num_words is the size of a full bitmask.
LocalMask ComputeLocalMask(const Terminal& terminal, LexState state, const TokenTrie& trie, size_t num_words);

struct MaskKey {
  uint32_t terminal = 0;
  uint32_t q = 0;
  uint32_t decoder = 0;
  uint32_t room = 0;     // characters that may follow, at most the longest token
  uint32_t missing = 0;  // characters that must follow, at most the longest token
  bool operator==(const MaskKey&) const = default;
};

// Bounded by bytes: beyond them a mask is computed for its caller alone. Any thread.
class MaskCache {
 public:
  explicit MaskCache(size_t max_bytes) : max_bytes_(max_bytes) {}
  std::shared_ptr<const LocalMask> Find(const MaskKey& key) const;
  // Returns the mask that stays: an earlier one for the same key wins.
  std::shared_ptr<const LocalMask> Insert(const MaskKey& key, LocalMask mask);
  size_t size_bytes() const;

 private:
  struct Hash {
    size_t operator()(const MaskKey& k) const {
      uint64_t h = k.terminal;
      for (uint64_t v : {k.q, k.decoder, k.room, k.missing}) h = (h ^ v) * 0x9E3779B97F4A7C15u + (h >> 31);
      return static_cast<size_t>(h ^ (h >> 32));
    }
  };
  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::unordered_map<MaskKey, std::shared_ptr<const LocalMask>, Hash> masks_;
  size_t bytes_ = 0;
};

}  // namespace millrace::grammar
