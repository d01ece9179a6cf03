// POST /v1/chat/completions
#include <ctime>

#include "server/api.h"
#include "server/chat_prompt.h"
#include "server/choice_parser.h"
#include "server/logprobs.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

struct ChatOptions {
  bool stream = false, include_usage = false, logprobs = false, return_token_ids = false;
  int top_logprobs = 0;
  std::vector<TokenId> prompt_token_ids;  // with return_token_ids
};

class ChatWriter : public ReplyWriter {
 public:
  ChatWriter(Service& service, std::shared_ptr<Exchange> exchange, ChatOptions options, int n, const ChoiceParserOptions& parser)
      : service_(service),
        exchange_(std::move(exchange)),
        options_(std::move(options)),
        id_(ReplyId("chatcmpl-", exchange_->request())),
        created_(std::time(nullptr)) {
    for (int i = 0; i < n; ++i) choices_.push_back(std::make_unique<Choice>(service, parser));
    if (options_.stream) exchange_->ExpectStream();
  }

  void OnOutput(int, RequestOutput& output) override {
    Choice& choice = *choices_[static_cast<size_t>(output.choice_index)];
    const std::vector<OutputDelta> deltas = choice.parser.Push(output.text, output.finish_reason != FinishReason::kNone);
    const Tokenizer& tokenizer = service_.engine.tokenizer();
    if (options_.logprobs && !output.tokens.empty()) {
      for (Json& entry : ChatLogprobs(tokenizer, output.tokens, options_.top_logprobs)) choice.logprobs.push_back(std::move(entry));
    }
    prompt_logprobs_.insert(prompt_logprobs_.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
    if (options_.return_token_ids) {
      for (const OutputResult& token : output.tokens) choice.token_ids.push_back(token.token);
    }
    if (output.finish_reason != FinishReason::kNone) {
      choice.stop_reason = output.finish_reason == FinishReason::kTimeout ? "timeout" : output.stop_reason;
      const bool called = choice.parser.num_calls() > 0 && output.finish_reason == FinishReason::kStop;
      choice.finish_reason = called ? "tool_calls" : FinishName(output.finish_reason);
    }
    if (options_.stream) {
      StreamOutput(output.choice_index, choice, deltas);
    } else {
      for (const OutputDelta& delta : deltas) choice.text.Add(delta);
    }
  }

  void OnFinished(const Usage& usage) override {
    if (!options_.stream) {
      exchange_->Send({.body = DumpJson(Whole(usage))});
      return;
    }
    if (options_.include_usage) {
      Json event = Event();
      event["choices"] = Json::array();
      event["usage"] = UsageJson(usage);
      exchange_->Write(SseData(event));
    }
    exchange_->Write(kSseDone);
    exchange_->Finish();
  }

  void OnError(const ApiError& error) override { SendError(*exchange_, error); }

 private:
  struct Choice {
    Choice(const Service& service, const ChoiceParserOptions& options) : parser(service.format, options) {}
    ChoiceParser parser;
    ChoiceText text;
    Json logprobs = Json::array();
    std::vector<TokenId> token_ids;
    std::string finish_reason, stop_reason;
    bool role_sent = false;
  };

  Json Event() const {
    return {{"id", id_}, {"object", options_.stream ? "chat.completion.chunk" : "chat.completion"}, {"created", created_}, {"model", service_.model_name}};
  }

  static Json TakeLogprobs(Choice& choice) {
    if (choice.logprobs.empty()) return nullptr;
    return {{"content", std::exchange(choice.logprobs, Json::array())}};
  }

  void AppendChunk(int index, Choice& choice, Json delta, bool last, std::string& events) {
    Json out = {{"index", index}, {"delta", std::move(delta)}, {"logprobs", TakeLogprobs(choice)}, {"finish_reason", nullptr}};
    if (options_.return_token_ids) out["token_ids"] = std::exchange(choice.token_ids, {});
    if (last) {
      out["finish_reason"] = choice.finish_reason;
      if (!choice.stop_reason.empty()) out["stop_reason"] = choice.stop_reason;
    }
    Json event = Event();
    event["choices"] = Json::array({std::move(out)});
    if (options_.include_usage) event["usage"] = nullptr;
    events += SseData(event);
  }

  void StreamOutput(int index, Choice& choice, const std::vector<OutputDelta>& deltas) {
    std::string events;
    if (!choice.role_sent) {
      choice.role_sent = true;
      Json logprobs = std::exchange(choice.logprobs, Json::array());
      AppendChunk(index, choice, {{"role", "assistant"}, {"content", ""}}, false, events);
      choice.logprobs = std::move(logprobs);
    }
    for (const OutputDelta& delta : deltas) AppendChunk(index, choice, DeltaJson(delta, index), false, events);
    if (!choice.finish_reason.empty()) {
      AppendChunk(index, choice, Json::object(), true, events);
    } else if (deltas.empty() && !choice.logprobs.empty()) {
      AppendChunk(index, choice, {{"content", ""}}, false, events);
    }
    exchange_->Write(events);
  }

  Json DeltaJson(const OutputDelta& delta, int choice) const {
    switch (delta.kind) {
      case OutputDelta::Kind::kContent: return {{"content", delta.text}};
      case OutputDelta::Kind::kReasoning: return {{"reasoning_content", delta.text}};
      case OutputDelta::Kind::kCallStart:
        return {{"tool_calls", Json::array({{{"index", delta.index},
                                             {"id", CallId(delta, exchange_->request().id, choice)},
                                             {"type", "function"},
                                             {"function", {{"name", delta.name}, {"arguments", ""}}}}})}};
      case OutputDelta::Kind::kCallArguments:
        return {{"tool_calls", Json::array({{{"index", delta.index}, {"function", {{"arguments", delta.text}}}}})}};
    }
    return Json::object();
  }

  Json Message(Choice& choice, int index) const {
    Json message = {{"role", "assistant"}, {"content", choice.text.content}, {"refusal", nullptr}};
    if (!choice.text.reasoning.empty()) message["reasoning_content"] = choice.text.reasoning;
    if (choice.text.calls.empty()) return message;
    if (choice.text.content.empty()) message["content"] = nullptr;
    message["tool_calls"] = Json::array();
    int number = 0;
    for (const ChoiceText::Call& call : choice.text.calls) {
      const std::string id = CallId({.index = number++, .id = call.id}, exchange_->request().id, index);
      message["tool_calls"].push_back(
          {{"id", id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    return message;
  }

  Json Whole(const Usage& usage) {
    Json reply = Event();
    reply["choices"] = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) {
      Choice& choice = *choices_[i];
      Json out = {{"index", i}, {"message", Message(choice, static_cast<int>(i))}, {"logprobs", TakeLogprobs(choice)}, {"finish_reason", choice.finish_reason}};
      if (!choice.stop_reason.empty()) out["stop_reason"] = choice.stop_reason;
      if (options_.return_token_ids) out["token_ids"] = choice.token_ids;
      reply["choices"].push_back(std::move(out));
    }
    reply["usage"] = UsageJson(usage);
    if (!prompt_logprobs_.empty()) reply["prompt_logprobs"] = PromptLogprobs(service_.engine.tokenizer(), prompt_logprobs_);
    if (options_.return_token_ids) reply["prompt_token_ids"] = options_.prompt_token_ids;
    return reply;
  }

  Service& service_;
  const std::shared_ptr<Exchange> exchange_;
  const ChatOptions options_;
  const std::string id_;
  const int64_t created_;
  std::vector<std::unique_ptr<Choice>> choices_;
  std::vector<OutputResult> prompt_logprobs_;
};

Status StartChat(Service& service, const std::shared_ptr<Exchange>& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Parse(kChat, exchange->request().body, service.options.strict_fields));
  AddWarnings(*exchange, fields);
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, exchange->request()));
  ChatOptions options;
  options.stream = fields.Bool("stream", false);
  ASSIGN_OR_RETURN(options.include_usage, ReadIncludeUsage(fields));
  options.logprobs = fields.Bool("logprobs", false);
  options.top_logprobs = static_cast<int>(fields.Int("top_logprobs", 0));
  if (options.top_logprobs > 0 && !options.logprobs) return InvalidArgument("top_logprobs is {} without logprobs", options.top_logprobs);
  if (options.logprobs) spec.sampling.logprobs = options.top_logprobs;
  ChoiceParserOptions parser;
  ASSIGN_OR_RETURN(parser.parse_tools, WantsTools(fields.Get("tools"), fields.Get("tool_choice")));
  parser.tools = fields.Get("tools");
  parser.parallel_calls = fields.Bool("parallel_tool_calls", true);
  ASSIGN_OR_RETURN(const RenderInput input, ReadConversation(service, fields));
  ASSIGN_OR_RETURN(ChatPrompt prompt, BuildChatPrompt(service, input));
  parser.opens_reasoning = prompt.opens_reasoning;
  spec.sampling.skip_special_tokens = !service.format_needs_special_tokens;
  options.return_token_ids = fields.Bool("return_token_ids", false);
  if (options.return_token_ids) options.prompt_token_ids = prompt.token_ids;
  spec.prompts.push_back(std::move(prompt.token_ids));
  auto writer = std::make_unique<ChatWriter>(service, exchange, std::move(options), spec.sampling.n, parser);
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

}  // namespace

void HandleChat(Service& service, const std::shared_ptr<Exchange>& exchange) {
  if (const Status status = StartChat(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

}  // namespace millrace
