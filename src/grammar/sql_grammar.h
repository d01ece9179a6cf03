// The SQL grammar that ships with the engine, in GBNF: SELECT with joins, sub-queries, grouping, ordering and limits;
// INSERT, UPDATE, DELETE; one statement, with an optional semicolon. Keywords in either case. Reserved words are not
// kept from being names, so "SELECT FROM t" reads as a column called FROM with the alias t.
#pragma once

#include <string>

namespace millrace::grammar {

std::string SqlGrammar();

}  // namespace millrace::grammar
