// Patterns that cut text into words before a model sees it. Well-known published regular expressions have hand-written
// scanners that take linear time; any other goes to PCRE2 under limits that keep it linear in the text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace {

// Bytes [begin, end) of a text.
struct Span {
  uint32_t begin;
  uint32_t end;
};

class Pattern {
 public:
  virtual ~Pattern() = default;
  // Appends the matches in text, leftmost first, none empty, none overlapping. The text's ends are the subject's ends.
  virtual void FindMatches(std::string_view text, std::vector<Span>* matches) const = 0;
};

// Compiles a regular expression in the syntax of tokenizer.json (Oniguruma, Unicode classes). kInvalidArgument with
// PCRE2's message when it is none, or is longer than 64 KiB.
Result<std::unique_ptr<Pattern>> CompilePattern(std::string_view regex);

// The literal text.
std::unique_ptr<Pattern> LiteralPattern(std::string_view text);

// Every single character that has one of the flags (CharFlag) or is ASCII punctuation when ascii_punctuation is set.
std::unique_ptr<Pattern> CharacterPattern(uint8_t flags, bool ascii_punctuation);

// The parts of CompilePattern; each answers null for a regex that it does not know. FindScanner compares with the
// published text; ParseClassPattern understands [class], \p{X}, with an optional leading "\s?" or " ?" and a quantifier
// +, {n}, {1,n}, and "\s+$".
std::unique_ptr<Pattern> FindScanner(std::string_view regex);
std::unique_ptr<Pattern> ParseClassPattern(std::string_view regex);
Result<std::unique_ptr<Pattern>> CompilePcre2(std::string_view regex);

}  // namespace millrace
