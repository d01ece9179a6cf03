#include "server/api_error.h"

#include "server/fields.h"

namespace millrace {

ApiError ToApiError(const Status& status) {
  ApiError error;
  error.message = status.message();
  switch (status.code()) {
    case StatusCode::kNotFound:
      error.status = 404;
      break;
    case StatusCode::kResourceExhausted:
      return Overloaded(status.message());
    case StatusCode::kDeadlineExceeded:
      error.status = 504;
      error.type = "timeout_error";
      break;
    case StatusCode::kUnavailable:
      error.status = 503;
      error.type = "service_unavailable_error";
      error.retry_after_s = 1;
      break;
    case StatusCode::kDataLoss:
    case StatusCode::kCancelled:
    case StatusCode::kInternal:
      error.status = 500;
      error.type = "server_error";
      break;
    default:
      break;
  }
  const std::string word = error.message.substr(0, error.message.find_first_of(" [.:"));
  if (IsFieldName(word)) error.param = word;
  if (error.status == 404 && error.param == "model") error.code = "model_not_found";
  if (error.status == 400 && error.message.ends_with("(--max-model-len)")) error.code = kContextLengthExceeded;
  return error;
}

ApiError Overloaded(std::string message) {
  return {.status = 429,
          .message = std::move(message),
          .type = "rate_limit_error",
          .code = "overloaded",
          .retry_after_s = 1};
}

Json ErrorJson(const ApiError& error) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

HttpResponse ErrorResponse(const ApiError& error) {
  HttpResponse response{.status = error.status, .body = DumpJson(ErrorJson(error))};
  if (error.retry_after_s > 0) response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  return response;
}

Json AnthropicErrorJson(const ApiError& error, const std::string& request_id) {
  std::string type = "invalid_request_error";
  if (error.status == 401) type = "authentication_error";
  if (error.status == 403) type = "permission_error";
  if (error.status == 404) type = "not_found_error";
  if (error.status == 413) type = "request_too_large";
  if (error.status == 429) type = "rate_limit_error";
  if (error.status >= 500) type = "api_error";
  if (error.status == 503) type = "overloaded_error";
  if (error.status == 504) type = "timeout_error";
  return {{"type", "error"}, {"error", {{"type", type}, {"message", error.message}}}, {"request_id", request_id}};
}

bool IsAnthropicPath(std::string_view path) {
  return path == "/v1/messages" || path.starts_with("/v1/messages/");
}

HttpResponse ErrorResponse(const ApiError& error, const HttpRequest& request) {
  HttpResponse response = ErrorResponse(error);
  if (!IsAnthropicPath(request.path)) return response;
  response.body = DumpJson(AnthropicErrorJson(error, request.id));
  return response;
}

}  // namespace millrace
