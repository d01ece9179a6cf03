// POST /v1/responses, and what was stored of them: GET and DELETE /v1/responses/{id}, GET
// /v1/responses/{id}/input_items.
#include <algorithm>
#include <charconv>

#include "server/answer.h"
#include "server/api.h"
#include "server/logprobs.h"
#include "server/reply.h"
#include "server/response_items.h"
#include "server/responses_request.h"
#include "server/sampling_fields.h"
#include "server/url.h"

namespace millrace {
namespace {

constexpr std::string_view kPrefix = "/v1/responses/";
constexpr size_t kMaxPage = 100;  // OpenAI's limit

struct ResponsesOptions {
  bool logprobs = false, store = true;
  int top_logprobs = 0;
  Json echo;  // the fields of the request that the response repeats
  Json items, conversation;
};

Json ResponsesUsage(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

class ResponsesWriter : public AnswerWriter {
 public:
  ResponsesWriter(Service& service, std::shared_ptr<Exchange> exchange, ResponsesOptions options, AnswerOptions answer)
      : AnswerWriter(service, std::move(exchange), std::move(answer), "resp_"),
        options_(std::move(options)),
        items_(exchange_->request().id) {}

  void OnError(const ApiError& error) override {
    if (exchange_->Send(ErrorResponse(error, exchange_->request()))) return;
    const char* code = error.status >= 500 ? "server_error" : "invalid_prompt";
    Json response = Response("failed", nullptr);
    response["error"] = {{"code", code}, {"message", error.message}};
    exchange_->Write(Numbered({{"type", "response.failed"}, {"response", std::move(response)}}));
    exchange_->Finish();
  }

 protected:
  void Stream(AnswerChoice& choice, const std::vector<OutputDelta>& deltas) override {
    std::string events;
    if (!choice.started) {
      choice.started = true;
      for (const char* type : {"response.created", "response.in_progress"}) {
        events += Numbered({{"type", type}, {"response", Response("in_progress", nullptr)}});
      }
    }
    AddItems(choice, deltas);
    if (choice.ended()) items_.Finish(ItemStatus());
    for (Json& event : items_.TakeEvents()) events += Numbered(std::move(event));
    exchange_->Write(events);
  }

  void EndStream(const Usage& usage) override {
    Json response = Finished(usage);
    const std::string type = "response." + response["status"].get<std::string>();
    exchange_->Write(Numbered({{"type", type}, {"response", std::move(response)}}));
  }

  Json Whole(const Usage& usage) override {
    AnswerChoice& choice = choices_.front();
    std::vector<OutputDelta> deltas;
    AppendDelta({.kind = OutputDelta::Kind::kReasoning, .text = choice.text.reasoning}, deltas);
    AppendDelta({.text = choice.text.content}, deltas);
    for (size_t i = 0; i < choice.text.calls.size(); ++i) {
      const ChoiceText::Call& call = choice.text.calls[i];
      const int index = static_cast<int>(i);
      AppendDelta({.kind = OutputDelta::Kind::kCallStart, .index = index, .id = call.id, .name = call.name}, deltas);
      AppendDelta({.kind = OutputDelta::Kind::kCallArguments, .text = call.arguments, .index = index}, deltas);
    }
    AddItems(choice, deltas);
    items_.Finish(ItemStatus());
    return Finished(usage);
  }

 private:
  void AddItems(AnswerChoice& choice, const std::vector<OutputDelta>& deltas) {
    for (const OutputDelta& delta : deltas) {
      Json logprobs = Json::array();
      if (delta.kind == OutputDelta::Kind::kContent && options_.logprobs) {
        logprobs = ChatLogprobs(service_.engine.tokenizer(), std::exchange(choice.tokens, {}), options_.top_logprobs);
      }
      const bool starts_call = delta.kind == OutputDelta::Kind::kCallStart;
      items_.Add(delta, starts_call ? IdOfCall(choice, delta.index) : "", logprobs);
    }
  }

  const char* ItemStatus() const {
    return choices_.front().finish_reason == FinishReason::kStop ? "completed" : "incomplete";
  }

  std::string Numbered(Json event) {
    event["sequence_number"] = sequence_number_++;
    return SseEvent(event["type"].get<std::string>(), event);
  }

  Json Response(const char* status, Json usage) const {
    Json response = {
        {"id", id_},           {"object", "response"}, {"created_at", created_},        {"status", status},
        {"background", false}, {"error", nullptr},     {"incomplete_details", nullptr}, {"model", service_.model_name}};
    response["completed_at"] = status == std::string_view("completed") ? Json(std::time(nullptr)) : Json();
    response["output"] = items_.items();
    response["usage"] = std::move(usage);
    response.update(options_.echo);
    return response;
  }

  // The response at its end; it is stored.
  Json Finished(const Usage& usage) {
    Json response = Response(ItemStatus(), ResponsesUsage(usage));
    if (choices_.front().finish_reason != FinishReason::kStop) {
      response["incomplete_details"] = {
          {"reason", choices_.front().finish_reason == FinishReason::kTimeout ? "timeout" : "max_output_tokens"}};
    }
    if (!options_.store) return response;
    const ChoiceText& text = choices_.front().text;
    Json message = {{"role", "assistant"}, {"content", text.content}};
    if (!text.reasoning.empty()) message["reasoning_content"] = text.reasoning;
    for (size_t i = 0; i < text.calls.size(); ++i) {
      message["tool_calls"].push_back(
          {{"id", IdOfCall(choices_.front(), static_cast<int>(i))},
           {"type", "function"},
           {"function", {{"name", text.calls[i].name}, {"arguments", text.calls[i].arguments}}}});
    }
    StoredResponse stored{response, options_.items, options_.conversation};
    stored.conversation.push_back(std::move(message));
    service_.responses.Put(exchange_->request().tenant, id_, std::move(stored), service_.engine.NowUs());
    return response;
  }

  const ResponsesOptions options_;
  ResponseItems items_;
  int64_t sequence_number_ = 0;
};

// What a response says about its request.
Json Echo(const Fields& fields, const SamplingParams& sampling) {
  const auto or_else = [&](const char* name, Json fallback) { return fields.Has(name) ? fields.Get(name) : fallback; };
  const Json effort = fields.Has("reasoning") ? fields.Get("reasoning").value("effort", Json()) : Json();
  return {{"instructions", fields.Get("instructions")},
          {"max_output_tokens", fields.Get("max_output_tokens")},
          {"max_tool_calls", nullptr},
          {"parallel_tool_calls", fields.Bool("parallel_tool_calls", true)},
          {"previous_response_id", fields.Get("previous_response_id")},
          {"reasoning", {{"effort", effort}, {"summary", nullptr}}},
          {"store", fields.Bool("store", true)},
          {"temperature", sampling.temperature},
          {"text", or_else("text", {{"format", {{"type", "text"}}}})},
          {"tool_choice", or_else("tool_choice", "auto")},
          {"tools", or_else("tools", Json::array())},
          {"top_logprobs", fields.Int("top_logprobs", 0)},
          {"top_p", sampling.top_p},
          {"truncation", "disabled"},
          {"user", fields.Get("user")},
          {"metadata", or_else("metadata", Json::object())}};
}

Result<bool> WantsLogprobs(const Fields& fields) {
  const Json& include = fields.Get("include");
  if (std::find(include.begin(), include.end(), "message.output_text.logprobs") != include.end()) return true;
  if (fields.Has("top_logprobs"))
    return InvalidArgument("top_logprobs is given without message.output_text.logprobs in include");
  return false;
}

Status StartResponse(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  ASSIGN_OR_RETURN(const Fields fields, ReadFields(service, *exchange, kResponses));
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, request, {"text", "format"}));
  std::shared_ptr<const StoredResponse> previous;
  if (const std::string id = fields.String("previous_response_id"); !id.empty()) {
    previous = service.responses.Find(request.tenant, id, service.engine.NowUs());
    if (previous == nullptr) return NotFound("previous_response_id is {}, which is not stored, or no longer", id);
  }
  ASSIGN_OR_RETURN(ResponsesInput input, ReadResponsesInput(service, fields, previous.get(), request.id));
  ResponsesOptions options;
  ASSIGN_OR_RETURN(options.logprobs, WantsLogprobs(fields));
  options.top_logprobs = static_cast<int>(fields.Int("top_logprobs", 0));
  if (options.logprobs) spec.sampling.logprobs = options.top_logprobs;
  options.store = fields.Bool("store", true);
  options.echo = Echo(fields, spec.sampling);
  options.items = std::move(input.items);
  options.conversation = std::move(input.conversation);
  AnswerOptions answer;
  answer.stream = fields.Bool("stream", false);
  answer.keep_tokens = options.logprobs;
  ASSIGN_OR_RETURN(answer.parser, PrepareChat(service, input.order, &spec));
  auto writer = std::make_unique<ResponsesWriter>(service, exchange, std::move(options), std::move(answer));
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

// One page of a list, newest first unless the query says otherwise; all of it unless the query has a limit.
Result<Json> ItemsPage(Json list, const std::string& query) {
  const std::string order = QueryValue(query, "order"), after = QueryValue(query, "after"),
                    limit = QueryValue(query, "limit");
  if (!order.empty() && order != "asc" && order != "desc")
    return InvalidArgument("order is {}, expected asc or desc", ValidUtf8(order));
  if (order != "asc") std::reverse(list.begin(), list.end());
  if (!after.empty()) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const Json& item) { return item["id"] == after; });
    if (found == list.end()) return InvalidArgument("after is {}, which is none of the items", ValidUtf8(after));
    list.erase(list.begin(), found + 1);
  }
  size_t most = list.size();
  if (!limit.empty()) {
    const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), most);
    if (error != std::errc() || end != limit.data() + limit.size() || most < 1 || most > kMaxPage) {
      return InvalidArgument("limit is {}, expected 1 to {}", ValidUtf8(limit), kMaxPage);
    }
  }
  const bool has_more = list.size() > most;
  while (list.size() > most) list.erase(list.size() - 1);
  const Json first = list.empty() ? Json() : list.front()["id"], last = list.empty() ? Json() : list.back()["id"];
  return Json{
      {"object", "list"}, {"data", std::move(list)}, {"first_id", first}, {"last_id", last}, {"has_more", has_more}};
}

Result<Json> Stored(Service& service, const HttpRequest& request) {
  std::string id = PercentDecoded(request.path.substr(kPrefix.size()));
  const int64_t now_us = service.engine.NowUs();
  if (request.method == "DELETE") {
    if (!service.responses.Erase(request.tenant, id, now_us)) return NotFound("there is no response {}", ValidUtf8(id));
    return Json{{"id", id}, {"object", "response"}, {"deleted", true}};
  }
  constexpr std::string_view kItems = "/input_items";
  const bool items = id.ends_with(kItems);
  if (items) id.resize(id.size() - kItems.size());
  const std::shared_ptr<const StoredResponse> found = service.responses.Find(request.tenant, id, now_us);
  if (found == nullptr) return NotFound("there is no response {}", ValidUtf8(id));
  if (!items && QueryValue(request.query, "stream") == "true")
    return Unsupported("stream is true, expected false: a stored response is sent whole");
  if (!items) return found->response;
  return ItemsPage(found->input_items, request.query);
}

}  // namespace

void HandleResponses(Service& service, const std::shared_ptr<Exchange>& exchange) {
  if (const Status status = StartResponse(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

void HandleStoredResponse(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const Result<Json> reply = Stored(service, exchange->request());
  if (!reply.ok()) {
    ApiError error = ToApiError(reply.status());
    if (error.status == 400) error.param = error.message.substr(0, error.message.find(' '));  // of the query
    return SendError(*exchange, error);
  }
  exchange->Send({.body = DumpJson(*reply)});
}

}  // namespace millrace
