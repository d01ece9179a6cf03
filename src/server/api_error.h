// Errors as clients see them, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "server/http/exchange.h"
#include "server/json.h"

namespace millrace {

inline constexpr std::string_view kContextLengthExceeded = "context_length_exceeded";  // OpenAI's code

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // "" is null
  std::string code;   // "" is null
  int retry_after_s = 0;
};

// The HTTP status and type that a status code stands for (base/status.h). The first word of the message is the param
// when it is the name of a request field: that is how every message about a field begins. A 400 that names
// --max-model-len is of a text that is too long.
ApiError ToApiError(const Status& status);
ApiError Overloaded(std::string message);

Json ErrorJson(const ApiError& error);
HttpResponse ErrorResponse(const ApiError& error);
// Anthropic's shape: {"type": "error", "error": {"type", "message"}, "request_id"}.
Json AnthropicErrorJson(const ApiError& error, const std::string& request_id);
// Replies to /v1/messages have Anthropic's shape.
bool IsAnthropicPath(std::string_view path);
// In the shape of the request's API.
HttpResponse ErrorResponse(const ApiError& error, const HttpRequest& request);

}  // namespace millrace
