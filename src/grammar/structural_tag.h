// Structural tags: free text until a trigger, then a grammar, then free text again.
#pragma once

#include "grammar/grammar.h"

namespace millrace::grammar {

// Adds any of the grammars to a program; returns its rule.
Result<uint32_t> AddGrammar(GrammarKind kind, std::string_view text, const GrammarVocabulary& vocabulary,
                            ProgramBuilder& builder);

struct Structure;
Result<uint32_t> AddStructure(const Structure& structure, const GrammarVocabulary& vocabulary, ProgramBuilder& builder);

Result<uint32_t> AddStructuralTags(const StructuralTags& tags, const GrammarVocabulary& vocabulary,
                                   ProgramBuilder& builder);

}  // namespace millrace::grammar
