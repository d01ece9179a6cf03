// Regular expressions: the common subset of ECMA-262 and Python. Supported: literals, escapes (\d \w \s \D \W \S \t \n
// \r \f \v \0 \xHH \uHHHH \u{H} \cX \p{..} \P{..}), classes, groups (capturing, non-capturing, named), alternation, * +
// ? {m,n} and their lazy forms, ^ $, and look-ahead directly after a leading ^ (or at the very start of a full match).
// Refused by name: back-references, look-behind, other look-ahead, \b and \B, inline flags.
#pragma once

#include <string_view>

#include "grammar/dfa.h"

namespace millrace::grammar {

enum class RegexMode {
  kSearch,     // JSON Schema `pattern`: matches anywhere, ^ and $ anchor
  kFullMatch,  // guided_regex: the whole text
};

// kInvalidArgument: not a regular expression. kUnsupported: names the construct or the bound.
Result<DfaPtr> CompileRegex(std::string_view pattern, RegexMode mode, Budget& budget);

}  // namespace millrace::grammar
