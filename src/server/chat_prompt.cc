#include "server/chat_prompt.h"

#include <algorithm>
#include <type_traits>

namespace millrace {
namespace {

// Tokens at the end of a prompt in which the opening of a reasoning block is looked for.
constexpr size_t kTailTokens = 32;

Result<Json> JoinContent(const Json& content, size_t index) {
  if (content.is_string() || content.is_null()) return content;
  if (!content.is_array())
    return InvalidArgument("messages[{}].content is neither a string nor a list of parts", index);
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object()) return InvalidArgument("messages[{}].content has a part that is not an object", index);
    const std::string type =
        part.contains("type") && part["type"].is_string() ? part["type"].get<std::string>() : "none";
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal") {
      return Unsupported("messages[{}].content has a part of type {}, expected text: this model reads text only", index,
                         type);
    }
    const char* const key = type == "refusal" ? "refusal" : "text";
    if (!part.contains(key) || !part[key].is_string()) {
      return InvalidArgument("messages[{}].content has a part of type {} without a text", index, type);
    }
    text += part[key].get_ref<const std::string&>();
  }
  return Json(std::move(text));
}

// Templates want the arguments of a call as an object; OpenAI sends them as a string.
Status ParseArguments(Json& message, size_t index) {
  if (!message.contains("tool_calls") || message["tool_calls"].is_null()) return OkStatus();
  if (!message["tool_calls"].is_array()) return InvalidArgument("messages[{}].tool_calls is not a list", index);
  for (Json& call : message["tool_calls"]) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) {
      return InvalidArgument("messages[{}].tool_calls has an entry without a function", index);
    }
    Json& function = call["function"];
    if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
    Result<Json> parsed = ParseJson(function["arguments"].get_ref<const std::string&>());
    if (parsed.ok() && parsed->is_object()) function["arguments"] = *std::move(parsed);
  }
  return OkStatus();
}

// The older spelling of a call and of its result, as the newer one. Ids tell the message of the call.
void AdoptFunctionCall(Json& message, size_t index) {
  const auto id = [](size_t of) { return fmt::format("fcall{:04}", of); };
  if (message["role"] == "function") {
    message["role"] = "tool";
    message["tool_call_id"] = id(index > 0 ? index - 1 : 0);
  }
  if (message["role"] != "assistant" || !message.contains("function_call")) return;
  const Json function = message["function_call"];
  message.erase("function_call");
  if (function.is_null() || message.contains("tool_calls")) return;
  message["tool_calls"] = Json::array({{{"id", id(index)}, {"type", "function"}, {"function", function}}});
}

// Some templates tell a message with calls by its missing content, others fail without text in every message.
template <typename Build>
std::invoke_result_t<Build, const RenderInput&> BuildOrFillContents(const RenderInput& input, Build build) {
  auto built = build(input);
  if (built.ok()) return built;
  RenderInput with_texts = input;
  for (Json& message : with_texts.messages) {
    if (message["content"].is_null()) message["content"] = "";
  }
  if (with_texts.messages == input.messages) return built;
  return build(with_texts);
}

// A template can leave messages out whose role it does not know: then what they say would go unread.
Status CheckRoles(const Service& service, const RenderInput& input) {
  constexpr std::string_view kKnown[] = {"system", "developer", "user", "assistant", "tool", "function"};
  RenderInput known = input;
  known.messages = Json::array();
  std::string unknown;
  size_t index = 0;
  for (const Json& message : input.messages) {
    const std::string& role = message["role"].get_ref<const std::string&>();
    const bool is_known = std::find(std::begin(kKnown), std::end(kKnown), role) != std::end(kKnown);
    if (is_known) known.messages.push_back(message);
    if (!is_known && unknown.empty())
      unknown = fmt::format("messages[{}].role is {}", index, DumpJson(role).substr(0, 64));
    ++index;
  }
  if (unknown.empty()) return OkStatus();
  const Result<std::string> all = RenderChat(service, input), without = RenderChat(service, known);
  if (!all.ok() || !without.ok() || *all != *without) return OkStatus();
  return InvalidArgument("{}, expected system, developer, user, assistant or tool: the chat template leaves it out",
                         unknown);
}

}  // namespace

Status OfChat(const Status& status, const char* field) {
  return ToApiError(status).param.empty() ? status.WithPrefix(field) : status;
}

bool EndsWithAnswer(const RenderInput& input) {
  if (input.messages.empty()) return false;
  const Json& last = input.messages.back();
  return last["role"] == "assistant" && !last.contains("tool_calls") && last["content"].is_string();
}

Result<Json> NormalizeMessage(const Service& service, const Json& message, size_t index) {
  if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
    return InvalidArgument("messages[{}] is not an object with a role", index);
  }
  Json normal = message;
  const std::string role = message["role"];
  if (role == "developer" && !service.template_knows_developer) normal["role"] = "system";
  AdoptFunctionCall(normal, index);
  RETURN_IF_ERROR(ParseArguments(normal, index));
  const bool has_calls = normal.contains("tool_calls") && !normal["tool_calls"].is_null();
  ASSIGN_OR_RETURN(Json content, JoinContent(message.contains("content") ? message["content"] : Json(), index));
  if (content.is_null() && !has_calls && role != "assistant")
    return InvalidArgument("messages[{}] has no content", index);
  normal["content"] = content.is_null() && !has_calls ? Json("") : std::move(content);
  return normal;
}

Result<RenderInput> ReadConversation(const Service& service, const Fields& fields) {
  RenderInput input;
  size_t index = 0;
  for (const Json& message : fields.Get("messages")) {
    ASSIGN_OR_RETURN(Json normal, NormalizeMessage(service, message, index++));
    input.messages.push_back(std::move(normal));
  }
  if (input.messages.empty()) return InvalidArgument("messages is missing or empty");
  if (fields.Has("tools") && !fields.Get("tools").empty()) input.tools = fields.Get("tools");
  input.documents = fields.Get("documents");
  input.variables = fields.Get("chat_template_kwargs");
  if (fields.Has("reasoning_effort")) {
    if (input.variables.is_null()) input.variables = Json::object();
    input.variables["reasoning_effort"] = fields.String("reasoning_effort");
  }
  input.continue_final_message = fields.Bool("continue_final_message", false);
  input.add_generation_prompt = fields.Bool("add_generation_prompt", !input.continue_final_message);
  if (input.continue_final_message && (input.add_generation_prompt || !EndsWithAnswer(input))) {
    return InvalidArgument(
        "continue_final_message needs a last message of the assistant with text, and add_generation_prompt false");
  }
  RETURN_IF_ERROR(CheckRoles(service, input));
  return input;
}

Result<std::string> RenderChat(const Service& service, const RenderInput& input) {
  return BuildOrFillContents(input, [&](const RenderInput& chat) { return service.builder.RenderText(chat); });
}

Result<ChatPrompt> BuildChatPrompt(const Service& service, const RenderInput& input) {
  ChatPrompt prompt;
  ASSIGN_OR_RETURN(prompt.token_ids,
                   BuildOrFillContents(input, [&](const RenderInput& chat) { return service.builder.Build(chat); }));
  if (!service.format.reasoning.begin.empty()) {
    const std::span<const TokenId> ids(prompt.token_ids);
    const std::string tail = service.engine.tokenizer().Decode(ids.last(std::min(ids.size(), kTailTokens)), false);
    prompt.opens_reasoning = PromptOpensReasoning(service.format.reasoning, tail);
    prompt.closes_reasoning = PromptClosesReasoning(service.format.reasoning, tail);
  }
  return prompt;
}

}  // namespace millrace
