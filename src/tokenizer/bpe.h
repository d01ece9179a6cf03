// Byte-pair encoding over bytes (GPT-2 and its descendants, tiktoken) or characters (SentencePiece, with byte
// fallback). A word's symbols are merged pair by pair, lowest rank first, leftmost first among equals.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab.h"

namespace millrace {

// (left, right) -> (rank, merged). Open addressing.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank;  // kNone: the pair does not merge
    TokenId merged;
  };
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  void Reserve(size_t pairs);
  // The last of two equal pairs wins, as in Hugging Face's loader, unless keep_first.
  void Insert(TokenId left, TokenId right, Merge merge, bool keep_first = false);
  Merge Find(TokenId left, TokenId right) const {
    const uint64_t key = Key(left, right);
    for (size_t at = Slot(key);; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.key == key) return entry.merge;
      if (entry.key == kEmptyKey) return {kNone, -1};
    }
  }
  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kEmptyKey = ~uint64_t{0};
  struct Entry {
    uint64_t key = kEmptyKey;
    Merge merge{kNone, -1};
  };
  static uint64_t Key(TokenId left, TokenId right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }
  size_t Slot(uint64_t key) const { return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> shift_); }
  void Rehash(size_t slots);

  std::vector<Entry> entries_{16};
  size_t mask_ = 15;
  int shift_ = 60;
  size_t size_ = 0;
};

struct BpeOptions {
  bool byte_level = true;      // symbols are bytes, else characters
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  bool fuse_unk = false;       // neighbouring unknown characters give one unknown token
  std::optional<TokenId> unk_id;
  // Character BPE: the token of each byte; all present or all absent (-1).
  std::array<TokenId, 256> byte_fallback;
};

// What merges with what. Symbols are token ids, and phantoms: ids from phantom_base up for single characters that are
// no token but take part in merges.
struct MergeRules {
  MergeTable table;
  TokenId phantom_base = 0;
  StringPool phantoms;

  // Rules for a vocabulary without a list of merges: every split of a token into two tokens (or characters) merges,
  // with the token's rank. This is tiktoken's rule with ranks = ids, and SentencePiece's with ranks by descending
  // score. ranks[id] == MergeTable::kNone leaves a token out.
  static MergeRules FromRanks(const TokenMap& tokens, const std::vector<uint32_t>& ranks, bool byte_level);
};

class BpeModel final : public TokenModel {
 public:
  // `tokens`: what text may become, in bytes (the byte alphabet undone).
  BpeModel(TokenMap tokens, MergeRules rules, const BpeOptions& options);

  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const override;
  bool SplitsBeforeMetaspace() const override { return splits_before_metaspace_; }

 private:
  void AppendSymbols(std::string_view word, std::vector<TokenId>* symbols) const;
  void AppendFallback(std::string_view character, bool* after_unknown, std::vector<TokenId>* ids) const;
  bool CanSplitBeforeMetaspace() const;

  TokenMap tokens_;
  MergeRules rules_;
  BpeOptions options_;
  std::array<TokenId, 256> byte_ids_;  // byte level: the symbol of each byte, -1 when the vocabulary lacks it
  bool splits_before_metaspace_ = false;
};

}  // namespace millrace
