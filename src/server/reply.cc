#include "server/reply.h"

#include "server/api.h"

namespace millrace {

std::string SseData(const Json& event) {
  return "data: " + DumpJson(event) + "\n\n";
}

std::string SseEvent(std::string_view name, const Json& event) {
  return fmt::format("event: {}\ndata: {}\n\n", name, DumpJson(event));
}

Json UsageJson(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

const char* FinishName(FinishReason reason) {
  return reason == FinishReason::kTimeout ? "length" : FinishReasonName(reason);
}

void SendError(Exchange& exchange, const ApiError& error) {
  const HttpRequest& request = exchange.request();
  if (exchange.Send(ErrorResponse(error, request))) return;
  if (IsAnthropicPath(request.path)) {
    exchange.Write(SseEvent("error", AnthropicErrorJson(error, request.id)));
  } else {
    exchange.Write(SseData(ErrorJson(error)));
    exchange.Write(kSseDone);
  }
  exchange.Finish();
}

Result<Fields> ReadFields(const Service& service, Exchange& exchange, Endpoint endpoint) {
  const FieldPolicy policy = {.strict = service.options.strict_fields, .chat_template = service.chat_template};
  ASSIGN_OR_RETURN(Fields fields, Fields::Parse(endpoint, exchange.request().body, policy));
  if (!fields.warnings().empty()) exchange.AddHeader("X-Millrace-Warnings", fields.warnings());
  return fields;
}

Status CheckStream(const Fields& fields) {
  if (!fields.Bool("stream", false) || !fields.Has("prompt_logprobs")) return OkStatus();
  return Unsupported("prompt_logprobs is {}, a stream does not report them: expected stream false",
                     fields.Int("prompt_logprobs", 0));
}

Result<bool> ReadIncludeUsage(const Fields& fields) {
  const Json& options = fields.Get("stream_options");
  if (options.is_null() || !options.contains("include_usage") || options["include_usage"].is_null()) return false;
  if (!options["include_usage"].is_boolean())
    return InvalidArgument("stream_options.include_usage is not true or false");
  return options["include_usage"].get<bool>();
}

std::string ReplyId(const char* prefix, const HttpRequest& request) {
  return prefix + request.id;
}

}  // namespace millrace
