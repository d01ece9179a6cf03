// POST /v1/messages and /v1/messages/count_tokens: Anthropic's API.
#include "server/answer.h"
#include "server/api.h"
#include "server/messages_request.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

// The arguments of a call as an object. A model can write what is no JSON, or be cut off in the middle.
Json CallInput(const std::string& arguments) {
  if (arguments.empty()) return Json::object();
  Result<Json> parsed = ParseJson(arguments);
  if (parsed.ok() && parsed->is_object()) return *std::move(parsed);
  return {{"INVALID_JSON", arguments}};
}

class MessagesWriter : public AnswerWriter {
 public:
  MessagesWriter(Service& service, std::shared_ptr<Exchange> exchange, AnswerOptions answer)
      : AnswerWriter(service, std::move(exchange), std::move(answer), "msg_") {}

 protected:
  void Inspect(int, AnswerChoice&, RequestOutput& output) override {
    usage_.prompt_tokens = output.num_prompt_tokens;
    usage_.cached_tokens = std::max<int64_t>(0, output.num_cached_tokens);
  }

  void Stream(AnswerChoice& choice, const std::vector<OutputDelta>& deltas) override {
    std::string events;
    if (!choice.started) {
      choice.started = true;
      events += Event("message_start", {{"message", Message(Json::array(), usage_)}}) + Event("ping", Json::object());
    }
    for (const OutputDelta& delta : deltas) {
      if (!block_open_ || delta.kind == OutputDelta::Kind::kCallStart || Kind(delta) != block_kind_) {
        CloseBlock(events);
        OpenBlock(choice, delta, events);
      }
      if (delta.kind != OutputDelta::Kind::kCallStart) AddToBlock(delta, events);
    }
    if (choice.ended()) CloseBlock(events);
    exchange_->Write(events);
  }

  void EndStream(const Usage& usage) override {
    exchange_->Write(Event("message_delta", {{"delta", End()}, {"usage", UsageOf(usage)}}) +
                     Event("message_stop", Json::object()));
  }

  Json Whole(const Usage& usage) override {
    const AnswerChoice& choice = choices_.front();
    Json content = Json::array();
    if (!choice.text.reasoning.empty())
      content.push_back({{"type", "thinking"}, {"thinking", choice.text.reasoning}, {"signature", ""}});
    if (!choice.text.content.empty()) content.push_back({{"type", "text"}, {"text", choice.text.content}});
    int number = 0;
    for (const ChoiceText::Call& call : choice.text.calls) {
      content.push_back({{"type", "tool_use"},
                         {"id", IdOfCall(choice, number++)},
                         {"name", call.name},
                         {"input", CallInput(call.arguments)}});
    }
    Json message = Message(std::move(content), usage);
    message.update(End());
    return message;
  }

 private:
  // What a block is made of; the start of a call and its arguments are one block.
  static OutputDelta::Kind Kind(const OutputDelta& delta) {
    return delta.kind == OutputDelta::Kind::kCallStart ? OutputDelta::Kind::kCallArguments : delta.kind;
  }

  static std::string Event(const char* type, Json more) {
    Json event = {{"type", type}};
    event.update(more);
    return SseEvent(type, event);
  }

  // input_tokens are those that were not found in the cache.
  static Json UsageOf(const Usage& usage) {
    return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
            {"cache_creation_input_tokens", 0},
            {"cache_read_input_tokens", usage.cached_tokens},
            {"output_tokens", usage.completion_tokens}};
  }

  Json Message(Json content, const Usage& usage) const {
    return {{"id", id_},          {"type", "message"},      {"role", "assistant"},      {"model", service_.model_name},
            {"content", content}, {"stop_reason", nullptr}, {"stop_sequence", nullptr}, {"usage", UsageOf(usage)}};
  }

  Json End() const {
    const AnswerChoice& choice = choices_.front();
    Json end = {{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}};
    if (choice.finish_reason != FinishReason::kStop) {
      end["stop_reason"] = "max_tokens";
    } else if (!choice.stop_reason.empty()) {
      end = {{"stop_reason", "stop_sequence"}, {"stop_sequence", choice.stop_reason}};
    } else if (choice.calls_tools()) {
      end["stop_reason"] = "tool_use";
    }
    return end;
  }

  void OpenBlock(const AnswerChoice& choice, const OutputDelta& delta, std::string& events) {
    block_open_ = true;
    block_kind_ = Kind(delta);
    Json block;
    switch (block_kind_) {
      case OutputDelta::Kind::kReasoning:
        block = {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
        break;
      case OutputDelta::Kind::kContent:
        block = {{"type", "text"}, {"text", ""}};
        break;
      default:
        block = {{"type", "tool_use"},
                 {"id", IdOfCall(choice, delta.index)},
                 {"name", delta.name},
                 {"input", Json::object()}};
    }
    events += Event("content_block_start", {{"index", block_}, {"content_block", std::move(block)}});
  }

  void AddToBlock(const OutputDelta& delta, std::string& events) const {
    Json piece;
    switch (delta.kind) {
      case OutputDelta::Kind::kReasoning:
        piece = {{"type", "thinking_delta"}, {"thinking", delta.text}};
        break;
      case OutputDelta::Kind::kContent:
        piece = {{"type", "text_delta"}, {"text", delta.text}};
        break;
      default:
        piece = {{"type", "input_json_delta"}, {"partial_json", delta.text}};
    }
    events += Event("content_block_delta", {{"index", block_}, {"delta", std::move(piece)}});
  }

  void CloseBlock(std::string& events) {
    if (!block_open_) return;
    block_open_ = false;
    events += Event("content_block_stop", {{"index", block_++}});
  }

  Usage usage_;  // of the prompt
  int block_ = 0;
  bool block_open_ = false;
  OutputDelta::Kind block_kind_ = OutputDelta::Kind::kContent;
};

Status StartMessages(Service& service, const std::shared_ptr<Exchange>& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, ReadFields(service, *exchange, kMessages));
  if (!fields.Has("max_tokens")) return InvalidArgument("max_tokens is missing");
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, exchange->request(), {"output_config", "format"}));
  ASSIGN_OR_RETURN(const ChatOrder order, ReadMessages(service, fields));
  AnswerOptions answer;
  answer.stream = fields.Bool("stream", false);
  ASSIGN_OR_RETURN(answer.parser, PrepareChat(service, order, &spec));
  auto writer = std::make_unique<MessagesWriter>(service, exchange, std::move(answer));
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

Result<Json> CountTokens(Service& service, Exchange& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, ReadFields(service, exchange, kCountTokens));
  RETURN_IF_ERROR(CheckModel(service, fields));
  ASSIGN_OR_RETURN(const ChatOrder order, ReadMessages(service, fields));
  GenerationSpec spec;
  RETURN_IF_ERROR(PrepareChat(service, order, &spec).status());
  return Json{{"input_tokens", spec.prompts.front().size()}};
}

}  // namespace

void HandleMessages(Service& service, const std::shared_ptr<Exchange>& exchange) {
  exchange->AddHeader("request-id", exchange->request().id);
  if (const Status status = StartMessages(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

void HandleCountTokens(Service& service, const std::shared_ptr<Exchange>& exchange) {
  exchange->AddHeader("request-id", exchange->request().id);
  const Result<Json> reply = CountTokens(service, *exchange);
  if (!reply.ok()) return SendError(*exchange, ToApiError(reply.status()));
  exchange->Send({.body = DumpJson(*reply)});
}

}  // namespace millrace
