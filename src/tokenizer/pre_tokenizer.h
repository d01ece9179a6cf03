// Steps that cut normalized text into words. Each step is immutable and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"

namespace millrace {

// Words as ranges of one text. A step that changes characters puts the changed text into `storage`.
struct Words {
  std::string_view text;
  std::string storage;  // owns text once a step rewrote it
  std::vector<Span> spans;
  bool at_start = true;  // the first word stands at the start of the whole text
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void Apply(Words* words) const = 0;
};

// What becomes of a match; names are Hugging Face's SplitDelimiterBehavior.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Cuts every word at the matches of the pattern; `invert` swaps matches and what lies between.
std::unique_ptr<PreTokenizerStep> SplitStep(std::unique_ptr<Pattern> pattern, SplitBehavior behavior, bool invert);

enum class PrependScheme { kAlways, kFirst, kNever };

// Spaces become `replacement` (U+2581), words get it in front, and with `split` are cut before each.
std::unique_ptr<PreTokenizerStep> MetaspaceStep(std::string replacement, PrependScheme scheme, bool split);

// A space before every word that has none (ByteLevel with add_prefix_space).
std::unique_ptr<PreTokenizerStep> PrefixSpaceStep();

// Words as GPT-2's byte alphabet, and back: for steps that stand behind ByteLevel and see its characters.
std::unique_ptr<PreTokenizerStep> ToByteAlphabetStep();
std::unique_ptr<PreTokenizerStep> FromByteAlphabetStep();

// Cuts before every U+2581 that follows another character; see TokenModel::SplitsBeforeMetaspace.
std::unique_ptr<PreTokenizerStep> MetaspaceCutStep();

}  // namespace millrace
