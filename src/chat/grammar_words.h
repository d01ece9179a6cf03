// The words that the grammars of answers are written with. Internal to the *_grammar.cc files.
#pragma once

#include <nlohmann/json.hpp>

#include "grammar/structure.h"

namespace millrace::grammar_words {

using grammar::Anything;
using grammar::Choice;
using grammar::Free;
using grammar::GrammarKind;
using grammar::InGrammar;
using grammar::Many;
using grammar::Optional;
using grammar::RawString;
using grammar::Sequence;
using grammar::Structure;
using grammar::Text;
using grammar::Until;
using Json = nlohmann::ordered_json;

}  // namespace millrace::grammar_words
