// Reads requests for src/grammar/grammar_tool.h's RunGrammarLines on standard input: the engine behind run_suites.py.
// argv[1]: a vocabulary in tiktoken's format (base64 token, space, rank); without it, the 256 bytes.
#include <iostream>
#include <memory>

#include "grammar/grammar_tool.h"
#include "grammar/test_vocabulary.h"

int main(int argc, char** argv) {
  using millrace::grammar::FakeTokenizer;
  const std::unique_ptr<FakeTokenizer> tokenizer = argc > 1
                                                       ? millrace::grammar::TiktokenVocabulary(argv[1])
                                                       : std::make_unique<FakeTokenizer>(std::vector<std::string>{});
  if (tokenizer == nullptr) {
    std::cerr << "can't read the vocabulary " << argv[1] << "\n";
    return 1;
  }
  millrace::grammar::RunGrammarLines(std::cin, std::cout,
                                     std::make_shared<const millrace::grammar::GrammarVocabulary>(*tokenizer));
  return 0;
}
