// Requests of /v1/responses, turned into the form that chats have here.
#pragma once

#include "server/chat_prompt.h"
#include "server/fields.h"
#include "server/response_store.h"

namespace millrace {

struct ResponsesInput {
  ChatOrder order;
  Json items = Json::array();         // of this request, with ids
  Json conversation = Json::array();  // messages so far, instructions aside
};

// input, instructions, tools, tool_choice, reasoning; `previous` may be null. Errors begin with the field's name.
Result<ResponsesInput> ReadResponsesInput(const Service& service, const Fields& fields, const StoredResponse* previous,
                                          const std::string& request_id);

}  // namespace millrace
