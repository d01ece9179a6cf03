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
  bool opens_reasoning = false;   // the answer starts inside a reasoning block
  bool closes_reasoning = false;  // an empty one has been closed: the answer starts with the content
};

// What the template gets: text parts joined, arguments of calls parsed, "developer" turned into "system" where the
// template knows only that. Errors begin with "messages".
Result<RenderInput> ReadConversation(const Service& service, const Fields& fields);
// The text and the prompt of a chat. A template that fails gets "" for missing contents.
Result<std::string> RenderChat(const Service& service, const RenderInput& input);
Result<ChatPrompt> BuildChatPrompt(const Service& service, const RenderInput& input);

// A chat as the endpoints that take one hand it over.
struct ChatOrder {
  RenderInput input;
  Json tools;  // in chat completions' form; null: none
  // "auto", "none", "required", {"type": "function", "function": {"name"}} (or "name" beside "type"), {"type":
  // "allowed_tools", ...}, and Anthropic's {"type": "auto" | "any" | "none"} and {"type": "tool", "name"}; null: auto.
  Json tool_choice;
  bool parallel_calls = true;
  int thinking_budget = -1;        // tokens of reasoning at most; -1: no limit
  const char* field = "messages";  // of the request, for errors
};
// Appends the chat's prompt to `spec`, adapts its sampling and sets the grammar that enforces tool_choice,
// thinking_budget and the spec's constraint, which binds the content alone, not reasoning and calls; gives how the
// answer is to be read. Errors name the tool or the field.
Result<ChoiceParserOptions> PrepareChat(const Service& service, const ChatOrder& order, GenerationSpec* spec);

// An error of a chat's template, with the request's field unless it names one.
Status OfChat(const Status& status, const char* field);

// The last message is text of the assistant, which can be continued.
bool EndsWithAnswer(const RenderInput& input);

// One message in OpenAI's form, checked and made ready; `index` is for errors.
Result<Json> NormalizeMessage(const Service& service, const Json& message, size_t index);

}  // namespace millrace
