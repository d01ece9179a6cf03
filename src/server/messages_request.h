// Requests in Anthropic's Messages schema, turned into the form that chats have here (OpenAI's).
#pragma once

#include "server/chat_prompt.h"
#include "server/fields.h"

namespace millrace {

// system, messages, tools, tool_choice and thinking. Errors begin with the field's name, as the client wrote it.
Result<ChatOrder> ReadMessages(const Service& service, const Fields& fields);

}  // namespace millrace
