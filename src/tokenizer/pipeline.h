// The one Tokenizer: added tokens, normalizer, pre-tokenizer, model, post-processor and decoder, as Hugging Face's
// tokenizers library names them. Every file format is read into TokenizerParts.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab.h"
#include "tokenizer/word_cache.h"

namespace millrace {

// How the first token of a sequence decodes, where it differs from TokenBytes.
enum class FirstToken {
  kSame,
  kDropOneSpace,       // SentencePiece's dummy prefix
  kDropLeadingSpaces,  // Hugging Face's Metaspace decoder
  kText,               // WordPiece: no space before the first word, and "##" stays
};

struct TokenizerParts {
  std::vector<VocabEntry> entries;  // index = id
  std::vector<AddedToken> added;
  std::vector<std::unique_ptr<NormalizerStep>> normalizers;
  std::vector<std::unique_ptr<PreTokenizerStep>> pre_tokenizers;
  std::unique_ptr<TokenModel> model;
  std::vector<TokenId> prefix_ids;  // what add_special puts before and after the text
  std::vector<TokenId> suffix_ids;
  FirstToken first_token = FirstToken::kSame;
  bool replaces_each_invalid_byte = false;
  std::optional<TokenId> bos_id;
  std::optional<TokenId> eos_id;
  std::vector<TokenId> end_ids;
};

// Checks that every id is inside the vocabulary (kDataLoss) and builds the tokenizer. Tokens whose text ends a
// generation in every published model (<|im_end|>, <|eot_id|>, ...) join end_ids and become control tokens.
Result<std::unique_ptr<Tokenizer>> BuildTokenizer(TokenizerParts parts);

}  // namespace millrace
