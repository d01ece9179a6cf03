// POST /tokenize, /detokenize, /apply-template.
#include "server/api.h"
#include "server/chat_prompt.h"
#include "server/logprobs.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

Result<Json> Tokenize(Service& service, const Fields& fields) {
  std::vector<TokenId> ids;
  if (fields.Has("messages")) {
    ASSIGN_OR_RETURN(const RenderInput input, ReadConversation(service, fields));
    Result<ChatPrompt> prompt = BuildChatPrompt(service, input);
    if (!prompt.ok()) return OfChat(prompt.status(), "messages");
    ids = std::move(prompt->token_ids);
  } else {
    const char* const field = fields.Has("prompt") ? "prompt" : "content";
    if (!fields.Has(field)) return InvalidArgument("prompt is missing");
    const std::string text = fields.String(field);
    ids = service.engine.tokenizer().Encode(text, {.add_special = fields.Bool("add_special_tokens", true)});
  }
  Json reply = {{"count", ids.size()}, {"max_model_len", service.engine.max_model_len()}, {"tokens", ids}};
  if (fields.Bool("return_token_strs", false)) {
    reply["token_strs"] = Json::array();
    for (const TokenId id : ids) reply["token_strs"].push_back(ValidUtf8(service.engine.tokenizer().TokenText(id)));
  }
  return reply;
}

Result<Json> Detokenize(Service& service, const Fields& fields) {
  if (!fields.Has("tokens")) return InvalidArgument("tokens is missing");
  const std::vector<TokenId> ids = fields.Ids("tokens");
  for (const TokenId id : ids) {
    const int vocab_size = service.engine.tokenizer().vocab_size();
    if (id < 0 || id >= vocab_size)
      return InvalidArgument("tokens has {}, the vocabulary has {} tokens", id, vocab_size);
  }
  const std::string text = service.engine.tokenizer().Decode(ids, false);
  return Json{{"prompt", text}, {"content", text}};
}

Result<Json> ApplyTemplate(Service& service, const Fields& fields) {
  ASSIGN_OR_RETURN(const RenderInput input, ReadConversation(service, fields));
  Result<std::string> prompt = RenderChat(service, input);
  if (!prompt.ok()) return OfChat(prompt.status(), "messages");
  return Json{{"prompt", *std::move(prompt)}};
}

void Answer(Service& service, Exchange& exchange, Endpoint endpoint, Result<Json> (*make)(Service&, const Fields&)) {
  const Result<Fields> fields = ReadFields(service, exchange, endpoint);
  if (!fields.ok()) return SendError(exchange, ToApiError(fields.status()));
  const Status model = CheckModel(service, *fields);
  const Result<Json> reply = model.ok() ? make(service, *fields) : Result<Json>(model);
  if (!reply.ok()) return SendError(exchange, ToApiError(reply.status()));
  exchange.Send({.body = DumpJson(*reply)});
}

}  // namespace

void HandleTokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
  Answer(service, *exchange, kTokenize, Tokenize);
}
void HandleDetokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
  Answer(service, *exchange, kDetokenize, Detokenize);
}
void HandleApplyTemplate(Service& service, const std::shared_ptr<Exchange>& exchange) {
  Answer(service, *exchange, kApplyTemplate, ApplyTemplate);
}

}  // namespace millrace
