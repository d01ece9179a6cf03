// What turns one pre-tokenized word into ids. Implementations: BpeModel, UnigramModel, WordPieceModel.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace millrace {

// A word longer than this is cut (at a character), so that scratch memory is bounded whatever the text.
inline constexpr size_t kMaxWordBytes = 1 << 20;

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of `word`, at most kMaxWordBytes. O(n log n). Thread-safe.
  virtual void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const = 0;
  // Whether no token crosses from another character into U+2581, so that text may be cut before every U+2581 that
  // follows another character without changing its ids.
  virtual bool SplitsBeforeMetaspace() const { return false; }
};

}  // namespace millrace
