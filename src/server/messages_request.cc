#include "server/messages_request.h"

namespace millrace {
namespace {

constexpr uint64_t kMaxThinkingBudget = 1 << 30;

std::string TypeOf(const Json& value) {
  return value.is_object() && value.contains("type") && value["type"].is_string() ? value["type"].get<std::string>()
                                                                                  : std::string();
}

Result<std::string> StringOf(const Json& object, const char* key, const std::string& where) {
  if (!object.contains(key) || !object[key].is_string()) return InvalidArgument("{} has no text in {}", where, key);
  return object[key].get<std::string>();
}

// The text of a string or of a list of text blocks.
Result<std::string> TextOf(const Json& content, const std::string& where) {
  if (content.is_null()) return std::string();
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return InvalidArgument("{} is neither a string nor a list of blocks", where);
  std::string text;
  for (const Json& block : content) {
    const std::string type = TypeOf(block);
    if (type == "document" && TypeOf(block.value("source", Json())) == "text") {
      ASSIGN_OR_RETURN(const std::string part, StringOf(block["source"], "data", where));
      text += part;
      continue;
    }
    if (type != "text")
      return Unsupported("{} has a block of type {}, expected text: this model reads text only", where,
                         type.empty() ? "none" : type);
    ASSIGN_OR_RETURN(const std::string part, StringOf(block, "text", where));
    text += part;
  }
  return text;
}

// The blocks of one message become one or several messages: tool results stand alone, as role "tool".
class MessageReader {
 public:
  MessageReader(std::string role, size_t index)
      : where_(fmt::format("messages[{}].content", index)), message_{{"role", std::move(role)}} {}

  Result<std::vector<Json>> Read(const Json& content) {
    if (!content.is_array()) {
      ASSIGN_OR_RETURN(text_, TextOf(content, where_));
      Flush(true);
      return std::move(out_);
    }
    for (const Json& block : content) RETURN_IF_ERROR(Add(block));
    Flush(out_.empty());
    return std::move(out_);
  }

 private:
  Status Add(const Json& block) {
    const std::string type = TypeOf(block);
    const bool of_assistant = message_["role"] == "assistant";
    if (type == "thinking" && of_assistant) {
      ASSIGN_OR_RETURN(const std::string text, StringOf(block, "thinking", where_));
      reasoning_ += text;
      return OkStatus();
    }
    if (type == "redacted_thinking" && of_assistant) return OkStatus();
    if (type == "tool_use" && of_assistant) return AddCall(block);
    if (type == "tool_result" && !of_assistant) return AddResult(block);
    ASSIGN_OR_RETURN(const std::string text, TextOf(Json::array({block}), where_));
    text_ += text;
    return OkStatus();
  }

  Status AddCall(const Json& block) {
    ASSIGN_OR_RETURN(const std::string id, StringOf(block, "id", where_));
    ASSIGN_OR_RETURN(const std::string name, StringOf(block, "name", where_));
    if (!block.contains("input") || !block["input"].is_object())
      return InvalidArgument("{} has a tool_use whose input is not an object", where_);
    if (!message_.contains("tool_calls")) message_["tool_calls"] = Json::array();
    message_["tool_calls"].push_back(
        {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", block["input"]}}}});
    return OkStatus();
  }

  Status AddResult(const Json& block) {
    Flush(false);
    ASSIGN_OR_RETURN(const std::string id, StringOf(block, "tool_use_id", where_));
    ASSIGN_OR_RETURN(const std::string text, TextOf(block.value("content", Json()), where_));
    out_.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", text}});
    return OkStatus();
  }

  // always: also when it says nothing.
  void Flush(bool always) {
    if (!always && text_.empty() && reasoning_.empty() && !message_.contains("tool_calls")) return;
    Json message = message_;
    message["content"] = std::exchange(text_, "");
    if (!reasoning_.empty()) message["reasoning_content"] = std::exchange(reasoning_, "");
    out_.push_back(std::move(message));
  }

  const std::string where_;
  Json message_;
  std::string text_, reasoning_;
  std::vector<Json> out_;
};

// Turns of one role that follow each other are one turn.
bool Joins(const RenderInput& input, const Json& message) {
  if (input.messages.empty() || message["role"] != "user") return false;
  const Json& last = input.messages.back();
  return last["role"] == "user" && last["content"].is_string();
}

Status ReadTurns(const Service& service, const Fields& fields, ChatOrder* order) {
  size_t index = 0;
  for (const Json& message : fields.Get("messages")) {
    const std::string role = message.is_object() && message.contains("role") && message["role"].is_string()
                                 ? message["role"].get<std::string>()
                                 : "";
    if (role != "user" && role != "assistant" && role != "system") {
      return InvalidArgument("messages[{}].role is {}, expected user or assistant", index,
                             role.empty() ? "missing" : role);
    }
    if (!message.contains("content")) return InvalidArgument("messages[{}] has no content", index);
    ASSIGN_OR_RETURN(const std::vector<Json> parts, MessageReader(role, index).Read(message["content"]));
    for (const Json& part : parts) {
      ASSIGN_OR_RETURN(Json normal, NormalizeMessage(service, part, index));
      if (Joins(order->input, normal)) {
        order->input.messages.back()["content"] =
            order->input.messages.back()["content"].get<std::string>() + "\n" + normal["content"].get<std::string>();
      } else {
        order->input.messages.push_back(std::move(normal));
      }
    }
    ++index;
  }
  if (index == 0) return InvalidArgument("messages is missing or empty");
  order->input.continue_final_message = EndsWithAnswer(order->input);
  order->input.add_generation_prompt = !order->input.continue_final_message;
  return OkStatus();
}

Status ReadTools(const Fields& fields, ChatOrder* order) {
  size_t index = 0;
  for (const Json& tool : fields.Get("tools")) {
    const std::string type = TypeOf(tool);
    if (!type.empty() && type != "custom")
      return Unsupported("tools[{}] is of type {}, expected custom: there are no built-in tools", index, type);
    ASSIGN_OR_RETURN(const std::string name, StringOf(tool, "name", fmt::format("tools[{}]", index)));
    if (!tool.contains("input_schema") || !tool["input_schema"].is_object())
      return InvalidArgument("tools[{}].input_schema is not an object", index);
    Json function = {{"name", name}, {"parameters", tool["input_schema"]}};
    if (tool.contains("description")) function["description"] = tool["description"];
    if (tool.contains("strict")) function["strict"] = tool["strict"];
    if (order->tools.is_null()) order->tools = Json::array();
    order->tools.push_back({{"type", "function"}, {"function", std::move(function)}});
    ++index;
  }
  order->input.tools = order->tools;
  return OkStatus();
}

Status ReadToolChoice(const Json& choice, ChatOrder* order) {
  if (choice.is_null()) return OkStatus();
  const std::string type = TypeOf(choice);
  if (type == "auto" || type == "none") {
    order->tool_choice = type;
  } else if (type == "any") {
    order->tool_choice = "required";
  } else if (type == "tool") {
    ASSIGN_OR_RETURN(const std::string name, StringOf(choice, "name", "tool_choice"));
    order->tool_choice = {{"type", "function"}, {"function", {{"name", name}}}};
  } else {
    return InvalidArgument("tool_choice.type is {}, expected auto, any, tool or none", type.empty() ? "missing" : type);
  }
  const Json single = choice.value("disable_parallel_tool_use", Json());
  if (!single.is_null() && !single.is_boolean())
    return InvalidArgument("tool_choice.disable_parallel_tool_use is not true or false");
  order->parallel_calls = single.is_null() || !single.get<bool>();
  return OkStatus();
}

// Thinking is off unless it is asked for, where the template can tell. Templates call the switch by one of two names.
Status ReadThinking(const Service& service, const Json& thinking, ChatOrder* order) {
  const std::string type = thinking.is_null() ? "disabled" : TypeOf(thinking);
  if (type != "enabled" && type != "adaptive" && type != "disabled") {
    return InvalidArgument("thinking.type is {}, expected enabled, adaptive or disabled",
                           type.empty() ? "missing" : type);
  }
  const bool on = type != "disabled";
  order->input.variables = {{"enable_thinking", on}, {"thinking", on}};
  const Json budget = thinking.is_null() ? Json() : thinking.value("budget_tokens", Json());
  if (budget.is_null()) return OkStatus();
  if (!budget.is_number_unsigned() || budget.get<uint64_t>() > kMaxThinkingBudget) {
    return InvalidArgument("thinking.budget_tokens is {}, expected 0 to {}", DumpJson(budget).substr(0, 64),
                           kMaxThinkingBudget);
  }
  const bool marks_reasoning =
      !service.format.reasoning.end.empty() || service.format.tools.kind == ToolFormat::Kind::kHarmony;
  if (on && marks_reasoning) order->thinking_budget = budget.get<int>();
  return OkStatus();
}

}  // namespace

Result<ChatOrder> ReadMessages(const Service& service, const Fields& fields) {
  ChatOrder order;
  ASSIGN_OR_RETURN(const std::string system, TextOf(fields.Get("system"), "system"));
  if (!system.empty()) order.input.messages.push_back({{"role", "system"}, {"content", system}});
  RETURN_IF_ERROR(ReadTurns(service, fields, &order));
  RETURN_IF_ERROR(ReadTools(fields, &order));
  RETURN_IF_ERROR(ReadToolChoice(fields.Get("tool_choice"), &order));
  RETURN_IF_ERROR(ReadThinking(service, fields.Get("thinking"), &order));
  const Json effort =
      fields.Get("output_config").is_null() ? Json() : fields.Get("output_config").value("effort", Json());
  if (!effort.is_null() && !effort.is_string())
    return InvalidArgument("output_config.effort is {}, expected a string", DumpJson(effort).substr(0, 64));
  if (effort.is_string()) order.input.variables["reasoning_effort"] = effort;
  return order;
}

}  // namespace millrace
