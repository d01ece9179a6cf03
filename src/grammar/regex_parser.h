// Recursive-descent parser of one regular expression into an ExprPool; also parses the /.../ terminals of Lark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/expr.h"

namespace millrace::grammar {

struct LookAhead {
  ExprId body;
  bool negative;
};

// A whole pattern as alternatives; each may start with (^ and) look-aheads that hold for the text from its start.
struct RegexBranch {
  ExprId body = 0;
  std::vector<LookAhead> look_aheads;
  bool anchored = false;  // begins with ^
};

struct RegexOptions {
  bool ignore_case = false;
  bool dot_all = false;
};

// Depth of groups is bounded; every error names the offset.
Result<std::vector<RegexBranch>> ParseRegex(std::string_view pattern, const RegexOptions& options, ExprPool& pool);

}  // namespace millrace::grammar
