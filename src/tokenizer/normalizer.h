// Steps that rewrite text before it is cut into words. Each step is immutable and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace millrace {

// Where a piece of text lies in the whole: added tokens cut the text into pieces that are normalized one by one.
struct TextPosition {
  bool at_start = true;  // nothing stands before the piece
  bool at_end = true;    // nothing stands behind it
  // An added token that is searched in normalized text stands before the piece, so the reference normalizes both as one
  // text.
  bool continues = false;
};

class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual std::string Apply(std::string text, TextPosition position) const = 0;
};

struct BertNormalizerOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

std::unique_ptr<NormalizerStep> NormalFormStep(NormalForm form);
std::unique_ptr<NormalizerStep> LowercaseStep();
std::unique_ptr<NormalizerStep> BertStep(const BertNormalizerOptions& options);
std::unique_ptr<NormalizerStep> StripStep(bool left, bool right);
std::unique_ptr<NormalizerStep> StripAccentsStep();
std::unique_ptr<NormalizerStep> NmtStep();
// Puts `prefix` before every text that is not empty and continues no other.
std::unique_ptr<NormalizerStep> PrependStep(std::string prefix);
// Replaces every match of the pattern.
std::unique_ptr<NormalizerStep> ReplaceStep(std::unique_ptr<Pattern> pattern, std::string content);
// Hugging Face's "Precompiled": SentencePiece's character map applied grapheme by grapheme. kDataLoss when the map is
// damaged.
Result<std::unique_ptr<NormalizerStep>> PrecompiledStep(std::string charsmap);

// SentencePiece's own normalizer, formula of its normalizer.cc: the character map by longest prefix, then white space.
struct SentencePieceNormalizerOptions {
  std::string charsmap;  // may be empty
  bool add_dummy_prefix = true;
  bool prefix_every_piece = false;  // also behind added tokens, not only where the text starts
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  std::vector<AddedToken> verbatim;  // user-defined pieces, which the character map leaves alone
};
Result<std::unique_ptr<NormalizerStep>> SentencePieceStep(SentencePieceNormalizerOptions options);

}  // namespace millrace
