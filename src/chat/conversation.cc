#include "chat/conversation.h"

#include <utility>

namespace millrace {

Result<PromptBuilder> PromptBuilder::Create(const std::string& template_source, const Tokenizer& tokenizer) {
  PromptBuilder builder(tokenizer);
  if (!template_source.empty()) {
    ASSIGN_OR_RETURN(ChatTemplate compiled, ChatTemplate::Compile(template_source));
    builder.template_ = std::move(compiled);
  }
  const auto text_of = [&](std::optional<TokenId> id) {
    return id ? std::string(tokenizer.TokenText(*id)) : std::string();
  };
  builder.special_tokens_ = {{"bos_token", text_of(tokenizer.bos_id())}, {"eos_token", text_of(tokenizer.eos_id())}};
  return builder;
}

Result<std::vector<RenderedSpan>> PromptBuilder::RenderSpans(RenderInput input) const {
  if (!template_) return Unsupported("the model has no chat template; use a completion, or give --chat-template");
  input.special_tokens = special_tokens_;
  return template_->Render(input);
}

Result<std::string> PromptBuilder::RenderText(const RenderInput& input) const {
  ASSIGN_OR_RETURN(const std::vector<RenderedSpan> spans, RenderSpans(input));
  return JoinSpans(spans);
}

Result<std::vector<TokenId>> PromptBuilder::Build(const RenderInput& input) const {
  ASSIGN_OR_RETURN(const std::vector<RenderedSpan> spans, RenderSpans(input));
  EncodeOptions options;
  options.parse_special = true;
  std::string text;
  for (const RenderedSpan& span : spans) {
    if (!span.trusted) options.untrusted.push_back({text.size(), text.size() + span.text.size()});
    text += span.text;
  }
  return tokenizer_->Encode(text, options);
}

}  // namespace millrace
