// The request fields that constrain the output, compiled: response_format, guided_*, structured_outputs.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "grammar/grammar.h"
#include "server/fields.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// Compiled grammars by content, for one model. Any thread.
class GrammarCache {
 public:
  explicit GrammarCache(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  using Compile = Result<grammar::GrammarPtr> (*)(const std::string& text, grammar::VocabularyPtr vocabulary);
  // The grammar of (kind, text), compiled at most once while it stays among the kMaxEntries last new ones. Errors are not kept.
  Result<grammar::GrammarPtr> Get(const std::string& kind, const std::string& text, Compile compile);

 private:
  static constexpr size_t kMaxEntries = 256;

  const Tokenizer& tokenizer_;
  std::once_flag vocabulary_made_;
  grammar::VocabularyPtr vocabulary_;
  std::mutex mutex_;
  std::unordered_map<std::string, grammar::GrammarPtr> entries_;
};

// Null when the request constrains nothing. kInvalidArgument for more than one constraint; an error of the grammar begins with the field's name.
Result<grammar::GrammarPtr> ReadGrammar(GrammarCache& cache, const Fields& fields);

}  // namespace millrace
