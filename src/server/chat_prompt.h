// Chat messages as clients send them, made ready for a chat template, and the prompt that comes of it.
#pragma once

#include <string>
#include <vector>

#include "server/choice_parser.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/service.h"

namespace millrace {

struct ChatPrompt {
  std::vector<TokenId> token_ids;
  bool opens_reasoning = false;  // the answer starts inside a reasoning block
};

// What the template gets: text parts joined, arguments of calls parsed, "developer" turned into "system" where the template knows
// only that. Errors begin with "messages".
Result<RenderInput> ReadConversation(const Service& service, const Fields& fields);
Result<ChatPrompt> BuildChatPrompt(const Service& service, const RenderInput& input);

// A chat as the endpoints that take one hand it over; tools and tool_choice are in OpenAI's form.
struct ChatOrder {
  RenderInput input;
  Json tools, tool_choice;  // null: none given
  bool parallel_calls = true;
  std::string prefill;  // what the answer begins with; it is not repeated in the reply
};
// Appends the chat's prompt to `spec` and adapts its sampling; gives how the answer is to be read.
Result<ChoiceParserOptions> PrepareChat(const Service& service, const ChatOrder& order, GenerationSpec* spec);

// One message in OpenAI's form, checked and made ready; `index` is for errors.
Result<Json> NormalizeMessage(const Service& service, const Json& message, size_t index);

// True when calls are to be looked for: there are tools and tool_choice is auto (or absent); an unsupported choice is an error.
Result<bool> WantsTools(const Json& tools, const Json& tool_choice);

}  // namespace millrace
