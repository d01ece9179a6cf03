// The request fields that constrain the output, read and compiled: response_format, guided_*, structured_outputs.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "grammar/structure.h"
#include "server/fields.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// Compiled grammars by content, for one model. Any thread.
class GrammarCache {
 public:
  // end_ids: every token that ends a generation.
  GrammarCache(const Tokenizer& tokenizer, std::span<const TokenId> end_ids)
      : tokenizer_(tokenizer), end_ids_(end_ids.begin(), end_ids.end()) {}

  using Compile = std::function<Result<grammar::GrammarPtr>(const grammar::VocabularyPtr& vocabulary)>;
  // What `compile` gave for this key, called once while the key stays among the kMaxEntries last new ones. Errors are
  // not kept.
  Result<grammar::GrammarPtr> Get(const std::string& key, const Compile& compile);

 private:
  static constexpr size_t kMaxEntries = 256;

  const Tokenizer& tokenizer_;
  const std::vector<TokenId> end_ids_;
  std::once_flag vocabulary_made_;
  grammar::VocabularyPtr vocabulary_;
  std::mutex mutex_;
  std::unordered_map<std::string, grammar::GrammarPtr> entries_;
};

// What the content of an answer has to be.
struct OutputConstraint {
  std::string field;  // that asked for it
  std::string
      kind;  // object, json, regex, choice (text: a JSON array of strings), tags (text: a JSON object) or grammar
  std::string text;

  grammar::Structure AsStructure() const;
};

// Nothing when the request constrains nothing. kInvalidArgument for more than one constraint.
Result<std::optional<OutputConstraint>> ReadConstraint(const Fields& fields);

// The constraint compiled, for text without reasoning and calls; null when there is none. An error begins with the
// field's name.
Result<grammar::GrammarPtr> CompileConstraint(GrammarCache& cache, const std::optional<OutputConstraint>& constraint);

}  // namespace millrace
