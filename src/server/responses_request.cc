#include "server/responses_request.h"

namespace millrace {
namespace {

std::string TextIn(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : std::string();
}

// Turns items into chat messages, one after the other.
class ItemReader {
 public:
  explicit ItemReader(Json& messages) : messages_(messages) {}

  Status Add(const Json& item, size_t index) {
    if (!item.is_object()) return InvalidArgument("input[{}] is not an object", index);
    const std::string type = item.contains("type") ? TextIn(item, "type") : "message";
    if (type == "message") return AddMessage(item, index);
    if (type == "function_call") return AddCall(item, index);
    if (type == "function_call_output") return AddResult(item, index);
    if (type == "reasoning") return AddReasoning(item, index);
    return Unsupported("input[{}] is of type {}, expected message, function_call, function_call_output or reasoning",
                       index, type);
  }

 private:
  Status AddMessage(const Json& item, size_t index) {
    const std::string role = TextIn(item, "role");
    if (role != "user" && role != "assistant" && role != "system" && role != "developer") {
      return InvalidArgument("input[{}].role is {}, expected user, assistant, system or developer", index,
                             role.empty() ? "missing" : role);
    }
    if (!item.contains("content")) return InvalidArgument("input[{}] has no content", index);
    Json message = {{"role", role}, {"content", item["content"]}};
    if (role == "assistant" && !reasoning_.empty()) message["reasoning_content"] = std::exchange(reasoning_, "");
    messages_.push_back(std::move(message));
    return OkStatus();
  }

  // Calls belong to the assistant's message before them.
  Status AddCall(const Json& item, size_t index) {
    const std::string id = TextIn(item, "call_id"), name = TextIn(item, "name");
    if (id.empty() || name.empty() || !item.contains("arguments") || !item["arguments"].is_string()) {
      return InvalidArgument("input[{}] is a function_call without call_id, name or arguments", index);
    }
    if (messages_.empty() || messages_.back()["role"] != "assistant") {
      messages_.push_back({{"role", "assistant"}, {"content", ""}});
      if (!reasoning_.empty()) messages_.back()["reasoning_content"] = std::exchange(reasoning_, "");
    }
    Json& message = messages_.back();
    if (!message.contains("tool_calls")) message["tool_calls"] = Json::array();
    message["tool_calls"].push_back(
        {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", item["arguments"]}}}});
    return OkStatus();
  }

  Status AddResult(const Json& item, size_t index) {
    const std::string id = TextIn(item, "call_id");
    if (id.empty() || !item.contains("output"))
      return InvalidArgument("input[{}] is a function_call_output without call_id or output", index);
    messages_.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", item["output"]}});
    return OkStatus();
  }

  Status AddReasoning(const Json& item, size_t index) {
    const Json content = item.value("content", Json::array());
    if (!content.is_null() && !content.is_array()) return InvalidArgument("input[{}].content is not a list", index);
    for (const Json& part : content) {
      if (part.is_object()) reasoning_ += TextIn(part, "text");
    }
    return OkStatus();
  }

  Json& messages_;
  std::string reasoning_;  // of the assistant's next message
};

// As /v1/responses/{id}/input_items lists them.
Json WithId(const Json& item, const std::string& request_id, size_t index) {
  Json out = item;
  if (!out.contains("type")) out["type"] = "message";
  if (!out.contains("id")) out["id"] = fmt::format("in_{}_{}", request_id, index);
  if (out["type"] == "message" && out["content"].is_string()) {
    const char* type = out["role"] == "assistant" ? "output_text" : "input_text";
    out["content"] = Json::array({{{"type", type}, {"text", out["content"]}}});
  }
  return out;
}

Status ReadTools(const Fields& fields, ChatOrder* order) {
  size_t index = 0;
  for (const Json& tool : fields.Get("tools")) {
    const std::string type = tool.is_object() ? TextIn(tool, "type") : "";
    if (type != "function")
      return Unsupported("tools[{}] is of type {}, expected function: there are no built-in tools", index,
                         type.empty() ? "none" : type);
    if (TextIn(tool, "name").empty()) return InvalidArgument("tools[{}] has no name", index);
    Json function = Json::object();
    for (const char* key : {"name", "description", "parameters", "strict"}) {
      if (tool.contains(key) && !tool[key].is_null()) function[key] = tool[key];
    }
    if (order->tools.is_null()) order->tools = Json::array();
    order->tools.push_back({{"type", "function"}, {"function", std::move(function)}});
    ++index;
  }
  order->input.tools = order->tools;
  order->tool_choice = fields.Get("tool_choice");
  const Json& choice = order->tool_choice;
  if (choice.is_object() && choice.contains("name"))
    order->tool_choice = {{"type", "function"}, {"function", {{"name", choice["name"]}}}};
  return OkStatus();
}

Status ReadReasoning(const Json& reasoning, RenderInput* input) {
  const Json effort = reasoning.is_object() ? reasoning.value("effort", Json()) : Json();
  if (effort.is_null()) return OkStatus();
  if (!effort.is_string())
    return InvalidArgument("reasoning.effort is {}, expected a string", DumpJson(effort).substr(0, 64));
  input->variables = {{"reasoning_effort", effort}};
  if (effort == "none") input->variables["enable_thinking"] = false;
  return OkStatus();
}

}  // namespace

Result<ResponsesInput> ReadResponsesInput(const Service& service, const Fields& fields, const StoredResponse* previous,
                                          const std::string& request_id) {
  ResponsesInput out;
  if (previous != nullptr) out.conversation = previous->conversation;
  Json items = fields.Get("input");
  if (items.is_string()) items = Json::array({{{"role", "user"}, {"content", items}}});
  if (!items.is_array() || items.empty())
    return InvalidArgument("input is missing or empty, expected a string or a list of items");
  ItemReader reader(out.conversation);
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(reader.Add(items[i], i));
    out.items.push_back(WithId(items[i], request_id, i));
  }
  RenderInput& input = out.order.input;
  if (fields.Has("instructions"))
    input.messages.push_back({{"role", "system"}, {"content", fields.String("instructions")}});
  for (size_t i = 0; i < out.conversation.size(); ++i) {
    Result<Json> normal = NormalizeMessage(service, out.conversation[i], i);
    if (!normal.ok()) return Status(normal.status().code(), "input: " + normal.status().message());
    input.messages.push_back(*std::move(normal));
  }
  RETURN_IF_ERROR(ReadTools(fields, &out.order));
  RETURN_IF_ERROR(ReadReasoning(fields.Get("reasoning"), &input));
  input.add_generation_prompt = true;
  out.order.field = "input";
  out.order.parallel_calls = fields.Bool("parallel_tool_calls", true);
  out.order.thinking_budget = static_cast<int>(fields.Int("thinking_token_budget", -1));
  return out;
}

}  // namespace millrace
