#include "chat/template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"

namespace millrace {
namespace {

using jinja::Heap;
using jinja::Value;
using Variables = std::vector<std::pair<std::string, Value>>;

constexpr std::array<std::string_view, 12> kRoles = {
    "system",  "user",  "assistant",     "tool",         "developer",           "function",
    "ipython", "model", "tool_response", "tool_results", "assistant_tool_call", "available_tools"};

// Replaces the role of each message by the same word, trusted, when it is a well-known one.
void TrustRoles(const Value& messages) {
  if (!messages.is_list()) return;
  for (const Value& message : messages.list().items) {
    if (!message.is_dict()) continue;
    const Value* role = message.dict().Find("role");
    if (role == nullptr || !role->is_string()) continue;
    if (std::find(kRoles.begin(), kRoles.end(), role->view()) == kRoles.end()) continue;
    message.dict().Set(Value::String("role", false), Value::String(std::string(role->view()), false));
  }
}

Status AddObject(const nlohmann::ordered_json& object, std::string_view what, bool tainted, Heap& heap,
                 Variables& variables) {
  if (object.is_null()) return OkStatus();
  if (!object.is_object()) return InvalidArgument("{} is a JSON {}, expected an object", what, object.type_name());
  for (const auto& [name, json] : object.items()) {
    const auto same = [&](const auto& variable) { return variable.first == name; };
    if (std::any_of(variables.begin(), variables.end(), same)) {
      return InvalidArgument("{} may not redefine '{}'", what, name);
    }
    ASSIGN_OR_RETURN(Value value, jinja::FromJson(json, tainted, heap));
    variables.emplace_back(name, std::move(value));
  }
  return OkStatus();
}

Status CheckArray(const nlohmann::ordered_json& json, std::string_view what) {
  if (json.is_null() || json.is_array()) return OkStatus();
  return InvalidArgument("{} is a JSON {}, expected an array", what, json.type_name());
}

}  // namespace

std::string JoinSpans(const std::vector<RenderedSpan>& spans) {
  std::string text;
  for (const RenderedSpan& span : spans) text += span.text;
  return text;
}

Result<ChatTemplate> ChatTemplate::Compile(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return OutOfRange("the chat template has {} bytes, expected at most {}", source.size(), kMaxSourceBytes);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<const jinja::Tree> tree, jinja::Parse(source));
  return ChatTemplate(std::shared_ptr<const jinja::Tree>(std::move(tree)));
}

Result<std::vector<RenderedSpan>> ChatTemplate::Render(const RenderInput& input, const jinja::Limits& limits) const {
  if (!input.messages.is_array()) {
    return InvalidArgument("messages is a JSON {}, expected an array", input.messages.type_name());
  }
  RETURN_IF_ERROR(CheckArray(input.tools, "tools"));
  RETURN_IF_ERROR(CheckArray(input.documents, "documents"));
  Heap heap;
  Variables variables;
  ASSIGN_OR_RETURN(Value messages, jinja::FromJson(input.messages, true, heap));
  TrustRoles(messages);
  ASSIGN_OR_RETURN(Value tools, jinja::FromJson(input.tools, true, heap));
  ASSIGN_OR_RETURN(Value documents, jinja::FromJson(input.documents, true, heap));
  variables.emplace_back("messages", std::move(messages));
  variables.emplace_back("tools", std::move(tools));
  variables.emplace_back("documents", std::move(documents));
  variables.emplace_back("add_generation_prompt", Value::Bool(input.add_generation_prompt));
  RETURN_IF_ERROR(AddObject(input.special_tokens, "special_tokens", false, heap, variables));
  RETURN_IF_ERROR(AddObject(input.variables, "template variables", true, heap, variables));

  jinja::Interpreter interpreter(*tree_, limits);
  ASSIGN_OR_RETURN(const jinja::Text text, interpreter.Run(variables));
  std::vector<RenderedSpan> spans;
  size_t begin = 0;
  for (const jinja::Text::Run& run : text.runs()) {
    spans.push_back({std::string(text.view().substr(begin, run.end - begin)), !run.tainted});
    begin = run.end;
  }
  return spans;
}

}  // namespace millrace
