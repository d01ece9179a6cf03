#include "server/service.h"

#include <algorithm>
#include <ctime>

#include "server/json.h"

namespace millrace {
namespace {

std::string ModelName(const Engine& engine, const ServiceOptions& options) {
  if (!options.served_model_name.empty()) return options.served_model_name;
  const std::string& name = engine.checkpoint().info().name;
  return name.empty() ? "model" : name;
}

bool IsControlToken(const Tokenizer& tokenizer, const std::string& text) {
  const std::optional<TokenId> id = text.empty() ? std::nullopt : tokenizer.FindToken(text);
  return id && tokenizer.Kind(*id) == TokenKind::kControl;
}

// The markers have to be in the text that the parser sees.
bool NeedsSpecialTokens(const OutputFormat& format, const Tokenizer& tokenizer) {
  if (format.tools.kind == ToolFormat::Kind::kHarmony) return true;
  const std::string* const markers[] = {
      &format.reasoning.begin,  &format.reasoning.end,  &format.tools.section_begin, &format.tools.section_end,
      &format.tools.call_begin, &format.tools.call_end, &format.tools.args_begin,    &format.tools.id_begin};
  return std::any_of(std::begin(markers), std::end(markers),
                     [&](const std::string* marker) { return IsControlToken(tokenizer, *marker); });
}

}  // namespace

Service::Service(Engine& engine, const ServiceOptions& options, PromptBuilder builder)
    : engine(engine),
      options(options),
      model_name(ModelName(engine, options)),
      chat_template(this->options.chat_template.empty() ? engine.checkpoint().chat_template()
                                                        : this->options.chat_template),
      created_s(std::time(nullptr)),
      builder(std::move(builder)),
      metrics(model_name),
      grammars(engine.tokenizer(), engine.end_ids()),
      responses(options.response_store) {}

Result<std::unique_ptr<Service>> Service::Create(Engine& engine, const ServiceOptions& options) {
  const Tokenizer& tokenizer = engine.tokenizer();
  const std::string& source =
      options.chat_template.empty() ? engine.checkpoint().chat_template() : options.chat_template;
  ASSIGN_OR_RETURN(PromptBuilder builder, PromptBuilder::Create(source, tokenizer));
  std::unique_ptr<Service> service(new Service(engine, options, std::move(builder)));
  service->template_knows_developer = source.find("developer") != std::string::npos;
  if (!source.empty()) {
    ASSIGN_OR_RETURN(const ChatTemplate chat_template, ChatTemplate::Compile(source));
    const auto text_of = [&](std::optional<TokenId> id) {
      return id ? std::string(tokenizer.TokenText(*id)) : std::string();
    };
    const Json special = {{"bos_token", text_of(tokenizer.bos_id())}, {"eos_token", text_of(tokenizer.eos_id())}};
    service->format = DeriveOutputFormat(chat_template, special);
  }
  if (options.tool_call_parser != "auto") {
    ASSIGN_OR_RETURN(service->format.tools, FindToolFormat(options.tool_call_parser));
  }
  if (options.reasoning_parser != "auto") {
    ASSIGN_OR_RETURN(service->format.reasoning, FindReasoningFormat(options.reasoning_parser));
  }
  service->format_needs_special_tokens = NeedsSpecialTokens(service->format, tokenizer);
  return service;
}

bool Service::Reserve(int num_sequences) {
  const int before = open_sequences_.fetch_add(num_sequences);
  if (before + num_sequences > options.max_open_sequences) {
    open_sequences_.fetch_sub(num_sequences);
    return false;
  }
  if (before <= paused_sequences_) busy_since_us_ = engine.NowUs();
  return true;
}

void Service::Release(int num_sequences) {
  open_sequences_.fetch_sub(num_sequences);
}

void Service::CountPaused(int num_sequences) {
  const int before = paused_sequences_.fetch_add(num_sequences);
  if (num_sequences < 0 && before >= open_sequences()) busy_since_us_ = engine.NowUs();
}

int64_t Service::StalledUs() const {
  if (open_sequences() <= paused_sequences_) return 0;
  return engine.NowUs() - std::max(busy_since_us_.load(), engine.stats().last_progress_us);
}

}  // namespace millrace
