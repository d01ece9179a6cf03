// WordPiece (BERT): the longest token first, from left to right; a word that does not come out whole is unknown.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab.h"

namespace millrace {

struct WordPieceOptions {
  TokenId unk_id = 0;
  size_t max_chars_per_word = 100;  // longer words are unknown, which also bounds the work per word
};

class WordPieceModel final : public TokenModel {
 public:
  explicit WordPieceModel(const WordPieceOptions& options) : options_(options) {}
  // While building: `letters` without the mark that tells words from continuations.
  void Add(std::string_view letters, bool continuation, TokenId id) {
    (continuation ? rest_ : first_).Insert(letters, id);
  }

  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const override;

 private:
  const WordPieceOptions options_;
  TokenMap first_;
  TokenMap rest_;
};

}  // namespace millrace
