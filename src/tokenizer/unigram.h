// Unigram language model (SentencePiece, T5): the segmentation with the highest sum of scores.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/model.h"
#include "tokenizer/vocab.h"

namespace millrace {

struct UnigramOptions {
  std::optional<TokenId> unk_id;           // neighbouring unknown characters give one
  std::array<TokenId, 256> byte_fallback;  // all -1: none
};

// Tokens are the normal entries; scores.size() == entries.size(). Unknown characters score 10 below the lowest score.
std::unique_ptr<TokenModel> MakeUnigramModel(const std::vector<VocabEntry>& entries, const std::vector<double>& scores,
                                             const UnigramOptions& options);

}  // namespace millrace
