// Conversation: the messages of a chat and their prompt in tokens, for one model.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "chat/template.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// A model's template with its tokenizer. Immutable; safe from any number of threads.
class PromptBuilder {
 public:
  // An empty source means that the model has no template: kUnsupported when a prompt is wanted.
  static Result<PromptBuilder> Create(const std::string& template_source, const Tokenizer& tokenizer);

  bool has_template() const { return template_.has_value(); }
  // Token ids of the rendered messages. Special tokens count only where the template wrote them.
  Result<std::vector<TokenId>> Build(const RenderInput& input) const;
  // The rendered text, for display and /apply-template.
  Result<std::string> RenderText(const RenderInput& input) const;

 private:
  explicit PromptBuilder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  Result<std::vector<RenderedSpan>> RenderSpans(RenderInput input) const;

  const Tokenizer* tokenizer_;
  std::optional<ChatTemplate> template_;
  nlohmann::ordered_json special_tokens_;
};

}  // namespace millrace
