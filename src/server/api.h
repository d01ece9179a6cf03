// The endpoints. Each answers one exchange; those that generate answer later, from the engine's output thread.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/service.h"

namespace millrace {

// On a worker thread.
void HandleChat(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleCompletions(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleMessages(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleCountTokens(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleResponses(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleStoredResponse(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleTokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleDetokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleApplyTemplate(Service& service, const std::shared_ptr<Exchange>& exchange);
void HandleEmbeddings(Service& service, const std::shared_ptr<Exchange>& exchange);

// "id" of a reply: prefix and the request's id.
std::string ReplyId(const char* prefix, const HttpRequest& request);

}  // namespace millrace
