// Structure: an output put together of fixed texts, grammars and free text. What guides reasoning and tool calls is
// one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace millrace::grammar {

struct Structure {
  enum class Kind : uint8_t {
    kText,      // text; control tokens spelled in it are those tokens
    kGrammar,   // text in the given notation
    kSequence,  // all children in order; without children the empty text
    kChoice,    // one child
    kMany,      // the child, any number of times
    kFree,      // text without any of the stops, possibly empty
    kUntil,     // text up to the first of the stops, then that stop, then the child of the same index; stops beyond the
                // children don't occur
    kString,    // a string that the JSON schema in text allows, without its quotes; none of the stops occurs in it
    kAnything,  // any tokens, control tokens too
  };
  Kind kind = Kind::kSequence;
  std::string text;
  GrammarKind notation = GrammarKind::kJsonSchema;
  std::vector<std::string> stops;
  std::string not_matching;  // kString: a regular expression that matches nowhere in it; empty: none
  std::vector<Structure> children;
  // kUntil with one stop: after so many tokens of free text the stop is all that may follow. -1: no limit. At most one
  // part of a structure may have it.
  int budget_tokens = -1;
};

Structure Text(std::string text);
Structure InGrammar(GrammarKind notation, std::string text);
Structure Sequence(std::vector<Structure> children);
Structure Choice(std::vector<Structure> children);
Structure Many(Structure child);
Structure Optional(Structure child);
Structure Free(std::vector<std::string> stops = {});
Structure RawString(std::string schema, std::vector<std::string> stops, std::string not_matching = "");
// stops[i] is followed by children[i].
Structure Until(std::vector<std::string> stops, std::vector<Structure> children);
Structure Anything();

// Errors as of the other front ends; those of a part's grammar are its own.
Result<GrammarPtr> CompileStructure(const Structure& structure, VocabularyPtr vocabulary, const CompileOptions& = {});

}  // namespace millrace::grammar
