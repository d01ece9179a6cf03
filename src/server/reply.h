// What the replies of several endpoints have in common.
#pragma once

#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/http/exchange.h"
#include "server/json.h"

namespace millrace {

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
std::string SseData(const Json& event);
// With the name of the event, as Anthropic and /v1/responses send it.
std::string SseEvent(std::string_view name, const Json& event);

// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details": {"cached_tokens"},
// "completion_tokens_details": {"reasoning_tokens"}}.
Json UsageJson(const Usage& usage);

// OpenAI knows "stop" and "length"; a timeout cuts an answer off as a length does.
const char* FinishName(FinishReason reason);

// A reply with the error's status, or, in a stream under way, an event and the end.
void SendError(Exchange& exchange, const ApiError& error);

// What a stream can't give: prompt_logprobs.
Status CheckStream(const Fields& fields);
// The fields of the request; what of them has no effect is named in a header of the reply.
Result<Fields> ReadFields(const Service& service, Exchange& exchange, Endpoint endpoint);

Result<bool> ReadIncludeUsage(const Fields& fields);

}  // namespace millrace
