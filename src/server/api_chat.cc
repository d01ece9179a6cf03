// POST /v1/chat/completions
#include "server/api.h"
#include "server/chat_prompt.h"
#include "server/logprobs.h"
#include "server/openai_answer.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

struct ChatOptions {
  bool include_usage = false, logprobs = false, return_token_ids = false;
  bool functions = false;  // asked for with the older fields: calls are answered as function_call
  int top_logprobs = 0;
  std::vector<TokenId> prompt_token_ids;  // with return_token_ids
};

class ChatWriter : public OpenAiWriter {
 public:
  ChatWriter(Service& service, std::shared_ptr<Exchange> exchange, ChatOptions options, AnswerOptions answer)
      : OpenAiWriter(service, std::move(exchange), std::move(answer),
                     {"chatcmpl-", "chat.completion", "chat.completion.chunk", options.include_usage}),
        options_(std::move(options)) {}

 protected:
  void Inspect(int, AnswerChoice&, RequestOutput& output) override {
    prompt_logprobs_.insert(prompt_logprobs_.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
  }

  void Stream(AnswerChoice& choice, const std::vector<OutputDelta>& deltas) override {
    std::string events;
    if (!choice.started) {
      choice.started = true;
      Json out = {{"index", choice.index},
                  {"delta", {{"role", "assistant"}, {"content", ""}}},
                  {"logprobs", nullptr},
                  {"finish_reason", nullptr}};
      if (options_.return_token_ids) out["token_ids"] = Json::array();
      events += Chunk(std::move(out), options_.return_token_ids ? Json{{"prompt_token_ids", options_.prompt_token_ids}}
                                                                : Json::object());
    }
    for (const OutputDelta& delta : deltas) AppendChunk(choice, DeltaJson(delta, choice), false, events);
    if (choice.ended()) {
      AppendChunk(choice, Json::object(), true, events);
    } else if (deltas.empty() && options_.logprobs && !choice.tokens.empty()) {
      AppendChunk(choice, {{"content", ""}}, false, events);
    }
    exchange_->Write(events);
  }

  Json WholeChoice(AnswerChoice& choice) override {
    Json out = {{"index", choice.index}, {"message", Message(choice)}};
    AddTokens(choice, out);
    AddEnd(choice, out);
    return out;
  }

  void Complete(Json& reply) override {
    if (!prompt_logprobs_.empty())
      reply["prompt_logprobs"] = PromptLogprobs(service_.engine.tokenizer(), prompt_logprobs_);
    if (options_.return_token_ids) reply["prompt_token_ids"] = options_.prompt_token_ids;
  }

 private:
  // The tokens that were not reported before.
  void AddTokens(AnswerChoice& choice, Json& out) const {
    const std::vector<OutputResult> tokens = std::exchange(choice.tokens, {});
    out["logprobs"] = nullptr;
    if (options_.logprobs && !tokens.empty()) {
      out["logprobs"] = {{"content", ChatLogprobs(service_.engine.tokenizer(), tokens, options_.top_logprobs)}};
    }
    if (options_.return_token_ids) out["token_ids"] = TokenIds(tokens);
  }

  void AddEnd(const AnswerChoice& choice, Json& out) const {
    const char* const calls = options_.functions ? "function_call" : "tool_calls";
    out["finish_reason"] = choice.calls_tools() ? calls : FinishName(choice.finish_reason);
    if (Json reason = choice.StopReason(); !reason.is_null()) out["stop_reason"] = std::move(reason);
  }

  void AppendChunk(AnswerChoice& choice, Json delta, bool last, std::string& events) {
    Json out = {{"index", choice.index}, {"delta", std::move(delta)}};
    AddTokens(choice, out);
    out["finish_reason"] = nullptr;
    if (last) AddEnd(choice, out);
    events += Chunk(std::move(out));
  }

  Json DeltaJson(const OutputDelta& delta, const AnswerChoice& choice) const {
    switch (delta.kind) {
      case OutputDelta::Kind::kContent:
        return {{"content", delta.text}};
      case OutputDelta::Kind::kReasoning:
        return {{"reasoning_content", delta.text}};
      case OutputDelta::Kind::kCallStart:
        if (options_.functions) return {{"function_call", {{"name", delta.name}, {"arguments", ""}}}};
        return {{"tool_calls", Json::array({{{"index", delta.index},
                                             {"id", IdOfCall(choice, delta.index)},
                                             {"type", "function"},
                                             {"function", {{"name", delta.name}, {"arguments", ""}}}}})}};
      case OutputDelta::Kind::kCallArguments:
        if (options_.functions) return {{"function_call", {{"arguments", delta.text}}}};
        return {{"tool_calls", Json::array({{{"index", delta.index}, {"function", {{"arguments", delta.text}}}}})}};
    }
    return Json::object();
  }

  Json Message(const AnswerChoice& choice) const {
    Json message = {{"role", "assistant"}, {"content", choice.text.content}, {"refusal", nullptr}};
    if (!choice.text.reasoning.empty()) message["reasoning_content"] = choice.text.reasoning;
    if (choice.text.calls.empty()) return message;
    if (choice.text.content.empty()) message["content"] = nullptr;
    if (options_.functions) {
      const ChoiceText::Call& call = choice.text.calls.front();
      message["function_call"] = {{"name", call.name}, {"arguments", call.arguments}};
      return message;
    }
    message["tool_calls"] = Json::array();
    int number = 0;
    for (const ChoiceText::Call& call : choice.text.calls) {
      message["tool_calls"].push_back({{"id", IdOfCall(choice, number++)},
                                       {"type", "function"},
                                       {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    return message;
  }

  const ChatOptions options_;
  std::vector<OutputResult> prompt_logprobs_;
};

// The older fields, as tools and tool_choice.
Status ReadFunctions(const Fields& fields, ChatOrder* order) {
  const Json& call = fields.Get("function_call");
  if (!fields.Has("functions")) {
    return call.is_null() ? OkStatus()
                          : InvalidArgument("function_call is {} without functions", DumpJson(call).substr(0, 80));
  }
  if (fields.Has("tools") || fields.Has("tool_choice"))
    return InvalidArgument("functions does not go with tools and tool_choice, its newer form");
  order->tools = Json::array();
  for (const Json& function : fields.Get("functions")) {
    const bool named = function.is_object() && function.contains("name") && function["name"].is_string();
    if (!named) return InvalidArgument("functions[{}] is not an object with a name", order->tools.size());
    order->tools.push_back({{"type", "function"}, {"function", function}});
  }
  order->input.tools = order->tools;
  order->parallel_calls = false;
  order->tool_choice = call;
  if (call.is_null() || call == "auto" || call == "none") return OkStatus();
  if (!call.is_object() || !call.contains("name") || !call["name"].is_string()) {
    return InvalidArgument("function_call is {}, expected none, auto or an object with a name",
                           DumpJson(call).substr(0, 80));
  }
  order->tool_choice = {{"type", "function"}, {"function", {{"name", call["name"]}}}};
  return OkStatus();
}

// What was said of the newer fields, said of the older ones.
Status InFunctionFields(const Status& status) {
  for (const auto& [newer, older] : {std::pair("tool_choice", "function_call"), std::pair("tools", "functions")}) {
    if (!status.message().starts_with(newer)) continue;
    return Status(status.code(), older + status.message().substr(std::string_view(newer).size()));
  }
  return status;
}

Status StartChat(Service& service, const std::shared_ptr<Exchange>& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, ReadFields(service, *exchange, kChat));
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, exchange->request()));
  AnswerOptions answer;
  answer.stream = fields.Bool("stream", false);
  answer.n = spec.sampling.n;
  ChatOptions options;
  RETURN_IF_ERROR(CheckStream(fields));
  ASSIGN_OR_RETURN(options.include_usage, ReadIncludeUsage(fields));
  options.logprobs = fields.Bool("logprobs", false);
  options.top_logprobs = static_cast<int>(fields.Int("top_logprobs", 0));
  if (options.top_logprobs > 0 && !options.logprobs)
    return InvalidArgument("top_logprobs is {} without logprobs", options.top_logprobs);
  if (options.logprobs) spec.sampling.logprobs = options.top_logprobs;
  options.return_token_ids = fields.Bool("return_token_ids", false);
  answer.keep_tokens = options.logprobs || options.return_token_ids;
  ChatOrder order;
  ASSIGN_OR_RETURN(order.input, ReadConversation(service, fields));
  order.tools = fields.Get("tools");
  order.tool_choice = fields.Get("tool_choice");
  order.parallel_calls = fields.Bool("parallel_tool_calls", true);
  RETURN_IF_ERROR(ReadFunctions(fields, &order));
  options.functions = fields.Has("functions");
  order.thinking_budget = static_cast<int>(fields.Int("thinking_token_budget", -1));
  Result<ChoiceParserOptions> parser = PrepareChat(service, order, &spec);
  if (!parser.ok() && options.functions) return InFunctionFields(parser.status());
  ASSIGN_OR_RETURN(answer.parser, std::move(parser));
  if (options.return_token_ids) options.prompt_token_ids = spec.prompts.front();
  auto writer = std::make_unique<ChatWriter>(service, exchange, std::move(options), std::move(answer));
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

}  // namespace

void HandleChat(Service& service, const std::shared_ptr<Exchange>& exchange) {
  if (const Status status = StartChat(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

}  // namespace millrace
