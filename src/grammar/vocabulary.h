// GrammarVocabulary: what the grammar engine needs of one tokenizer. Built once per model, shared by every grammar and
// thread; owns copies of everything it needs except the token bytes, for which the tokenizer must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "grammar/formats.h"
#include "grammar/local_mask.h"
#include "grammar/token_trie.h"
#include "tokenizer/tokenizer.h"

namespace millrace::grammar {

class GrammarVocabulary {
 public:
  // end_ids: the tokens that end a text; the tokenizer's when empty.
  explicit GrammarVocabulary(const Tokenizer& tokenizer, std::span<const TokenId> end_ids = {});

  int vocab_size() const { return vocab_size_; }
  // Words of a bitmask: one bit per token, bit i of word i / 32.
  size_t mask_words() const { return (static_cast<size_t>(vocab_size_) + 31) / 32; }
  const TokenTrie& trie() const { return trie_; }
  std::span<const TokenId> end_ids() const { return end_ids_; }
  bool IsEnd(TokenId id) const;
  // Empty for control and unused tokens.
  std::string_view BytesOf(TokenId id) const;
  // The tokens of a text that goes on where another ended.
  std::vector<TokenId> Encode(std::string_view text) const { return tokenizer_.Encode(text, {.add_special = false}); }
  // The control token spelled like this.
  std::optional<TokenId> FindControl(std::string_view text) const;
  uint32_t max_token_bytes() const { return max_token_bytes_; }
  // Masks of terminals that many grammars share (plain JSON strings).
  MaskCache& shared_masks() const { return shared_masks_; }
  FormatCache& formats() const { return formats_; }

 private:
  const Tokenizer& tokenizer_;
  const int vocab_size_;
  TokenTrie trie_;
  std::vector<TokenId> end_ids_;
  uint32_t max_token_bytes_ = 0;
  mutable MaskCache shared_masks_;
  mutable FormatCache formats_;
};

}  // namespace millrace::grammar
