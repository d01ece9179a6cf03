// EBNF front ends.
//
// GBNF (llama.cpp): name ::= "text" | [a-z\n\x41] | [^...] | . | rule | (group) | x* x+ x? x{m} x{m,} x{m,n} ; #
// comment. The root rule is called root. Lark: rule: expansions, ?rule, _rule, TERMINAL, "text" ("text"i),
// /regex/flags, "a".."z", (group), [optional], x* x+ x? x~n, x~m..n, -> alias, priorities, // comment, %ignore
// TERMINAL, %import common.NAME for the usual names. The root rule is called start. %declare, templates and other
// directives are refused.
#pragma once

#include <string_view>

#include "grammar/expr.h"

namespace millrace::grammar {

// Every error names the line.
Result<RuleSet> ParseEbnf(std::string_view grammar, Budget& budget);
Result<RuleSet> ParseGbnf(std::string_view grammar, Budget& budget);
Result<RuleSet> ParseLark(std::string_view grammar, Budget& budget);

}  // namespace millrace::grammar
