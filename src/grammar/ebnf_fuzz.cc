#include "grammar/fuzz_grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return millrace::grammar::FuzzGrammar(millrace::grammar::GrammarKind::kEbnf, data, size);
}
