// What the loaders of several formats share.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/pipeline.h"

namespace millrace {

// Whether published models end a turn or a text with this token.
bool IsEndText(std::string_view text);

// Completes end_ids with EOS and well-known names, and makes them control tokens even where a converter forgot to say
// so. Called before the model is built, which then leaves them out: text must never become one.
void MarkEnds(TokenizerParts* parts);

// Makes `id` the unknown token. Nullopt when there is none, or when it is also BOS, EOS or another end: GPT-2's files
// say so, but text that the vocabulary can't spell must not end a generation; it is left out instead.
std::optional<TokenId> ClaimUnknown(std::optional<TokenId> id, TokenizerParts* parts);

// Finds "<0x00>" ... "<0xFF>", makes them byte tokens and returns their ids; all -1, and nothing changed, when one is
// missing.
std::array<TokenId, 256> TakeByteTokens(std::vector<VocabEntry>* entries);

// U+2581 decodes to a space.
void UnescapeMetaspace(std::vector<VocabEntry>* entries);

// Added tokens that contain U+2581 are searched in the normalized text, where spaces look like that.
void SearchMetaspaceTokensNormalized(std::vector<AddedToken>* added);

// The normal tokens as they are spelled, for models over characters.
TokenMap NormalTokens(const std::vector<VocabEntry>& entries);

// A BPE model whose merges follow from scores, best first. scores.size() == entries.size().
std::unique_ptr<TokenModel> SentencePieceBpe(const std::vector<VocabEntry>& entries, const std::vector<float>& scores,
                                             const BpeOptions& options);

// White space goes, every punctuation character is a word.
void AddBertSplits(std::vector<std::unique_ptr<PreTokenizerStep>>* steps);

// What a WordPiece token adds to decoded text: a space before a word, less where `cleanup` joins punctuation.
std::string WordPieceBytes(std::string_view letters, bool continuation, bool cleanup);

}  // namespace millrace
