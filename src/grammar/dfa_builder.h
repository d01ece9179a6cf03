// Turns the regular part of an expression into a Dfa (Thompson's construction, then subsets).
#pragma once

#include "grammar/dfa.h"
#include "grammar/expr.h"

namespace millrace::grammar {

struct DfaBuildOptions {
  // The expression may match anywhere in the text (JSON Schema `pattern`); else it is the whole text.
  bool search = false;
  uint32_t max_nfa_nodes = 200'000;
  uint32_t max_states = 20'000;
};

// rules: bodies that kRule nodes refer to; may be null when there are none. The caller guarantees that the expression
// reaches no recursive rule and no kToken. kUnsupported when a bound is met.
Result<DfaPtr> BuildDfa(const ExprPool& pool, ExprId root, const std::vector<ExprId>* rules,
                        const DfaBuildOptions& options, Budget& budget);

}  // namespace millrace::grammar
