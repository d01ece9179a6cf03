// Tokenizer: text to token ids and back, for byte-level BPE, SentencePiece BPE and Unigram, and WordPiece vocabularies.
// Immutable after construction; every method is const and safe from any number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/token.h"

namespace millrace {

enum class TokenKind : uint8_t {
  kNormal,
  kUnknown,
  kControl,      // never shown to a user, never made from user text: <|im_end|>
  kUserDefined,  // an added token that is text: matched before the model runs
  kUnused,
  kByte,  // byte fallback: <0x0A>
};

struct EncodeOptions {
  bool add_special = false;    // put BOS / EOS / [CLS] ... where the model's post-processor says so
  bool parse_special = false;  // turn the text of control tokens into their ids; off for user text
  // With parse_special: byte ranges [begin, end) of the text, ascending and disjoint, that a user wrote. A control
  // token that touches one of them stays text.
  std::vector<std::pair<size_t, size_t>> untrusted;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Linear or n log n in the text; a word beyond 1 MiB is cut. Invalid UTF-8 is encoded byte by byte where the
  // vocabulary can, else as the unknown token. Scratch memory is bounded by a multiple of the text.
  virtual std::vector<TokenId> Encode(std::string_view text, const EncodeOptions& options = {}) const = 0;

  // The text of a sequence of ids, as the model's own decoder gives it. skip_special leaves control tokens out. Ids
  // outside the vocabulary decode to nothing.
  virtual std::string Decode(std::span<const TokenId> ids, bool skip_special = true) const = 0;

  virtual int vocab_size() const = 0;

  // The exact bytes that a token adds to the output when it is not the first one (SentencePiece's U+2581 is a space
  // here, a byte token is its byte). Empty for control, unknown and unused tokens. Grammar masks are computed from
  // these.
  virtual std::string_view TokenBytes(TokenId id) const = 0;
  // The token as the vocabulary spells it: "Ġhello", "▁hello", "<0x0A>", "<|im_end|>".
  virtual std::string_view TokenText(TokenId id) const = 0;
  virtual TokenKind Kind(TokenId id) const = 0;
  // The id of a token spelled as TokenText gives it.
  virtual std::optional<TokenId> FindToken(std::string_view text) const = 0;

  virtual std::optional<TokenId> bos_id() const = 0;
  virtual std::optional<TokenId> eos_id() const = 0;
  // Every id that ends a generation: EOS, end of turn, end of message.
  virtual std::span<const TokenId> end_ids() const = 0;

  // What a token adds to decoded text, before invalid UTF-8 is replaced. `first`: no token of the sequence was decoded
  // before it (skipped ones don't count), so that SentencePiece's dummy prefix goes. Control and unknown tokens give
  // their text, or nothing with skip_special. Ids outside the vocabulary give nothing.
  virtual std::string_view DecodedBytes(TokenId id, bool first, bool skip_special) const;
  // U+FFFD for every byte that is not UTF-8 (SentencePiece), else for every maximal subpart of a character.
  virtual bool replaces_each_invalid_byte() const { return false; }
};

// Streaming detokenizer, for one sequence and one thread at a time: feeds ids one by one and returns text as soon as it
// is certain. Never emits part of a UTF-8 character; bytes that can't become one are emitted as U+FFFD, as Decode does.
// Concatenated output == Decode(all ids).
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // Text that became certain with this token; may be empty.
  std::string Push(TokenId id);
  // What is left at the end of the sequence.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_;
  std::string pending_;  // at most 3 bytes of an unfinished character
  bool first_ = true;    // no token was decoded yet
};

}  // namespace millrace
