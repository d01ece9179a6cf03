#include "chat/template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"
#include "chat/jinja/text_ops.h"

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

// Fills `reasoning_content` and `thinking` from whichever name the reasoning came under.
void AliasReasoning(const Value& messages) {
  for (const Value& message : messages.list().items) {
    if (!message.is_dict()) continue;
    const Value* reasoning = nullptr;
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const Value* found = message.dict().Find(name);
      if (reasoning == nullptr && found != nullptr && !found->is_none()) reasoning = found;
    }
    if (reasoning == nullptr) continue;
    const Value text = *reasoning;
    if (message.dict().Find("thinking") == nullptr) message.dict().Set(Value::String("thinking", false), text);
    message.dict().Set(Value::String("reasoning_content", false), text);
  }
}

// Marks the end of the message to continue; its last blank shows whether the template strips the content.
constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";

Value WithTag(const Value& content) {
  jinja::Text text = content.text();
  text.Append(kContinueTag, true);
  return Value::String(std::move(text));
}

Status TagFinalMessage(const Value& messages) {
  const auto& items = messages.list().items;
  const Value* content = items.empty() || !items.back().is_dict() ? nullptr : items.back().dict().Find("content");
  const Value key = Value::String("content", false);
  if (content != nullptr && content->is_string()) {
    items.back().dict().Set(key, WithTag(*content));
    return OkStatus();
  }
  if (content != nullptr && content->is_list()) {
    const auto& parts = content->list().items;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      const Value* text = part->is_dict() ? part->dict().Find("text") : nullptr;
      if (text == nullptr || !text->is_string()) continue;
      part->dict().Set(Value::String("text", false), WithTag(*text));
      return OkStatus();
    }
  }
  return InvalidArgument("continue_final_message is set, but the last message has no text content");
}

Result<jinja::Text> CutAtTag(const jinja::Text& text) {
  const std::string_view tag = kContinueTag.substr(0, kContinueTag.size() - 1);
  const size_t at = text.view().rfind(tag);
  if (at == std::string_view::npos) {
    return InvalidArgument("continue_final_message is set, but the chat template leaves the last message out");
  }
  const jinja::Text cut = text.Slice(0, at);
  if (text.view().substr(at).starts_with(kContinueTag)) return cut;
  return jinja::Strip(cut, nullptr, jinja::Side::kRight);
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
  AliasReasoning(messages);
  if (input.continue_final_message) RETURN_IF_ERROR(TagFinalMessage(messages));
  ASSIGN_OR_RETURN(Value tools, jinja::FromJson(input.tools, true, heap));
  ASSIGN_OR_RETURN(Value documents, jinja::FromJson(input.documents, true, heap));
  variables.emplace_back("messages", std::move(messages));
  variables.emplace_back("tools", std::move(tools));
  variables.emplace_back("documents", std::move(documents));
  variables.emplace_back("add_generation_prompt", Value::Bool(input.add_generation_prompt));
  RETURN_IF_ERROR(AddObject(input.special_tokens, "special_tokens", false, heap, variables));
  RETURN_IF_ERROR(AddObject(input.variables, "chat_template_kwargs", true, heap, variables));

  jinja::Interpreter interpreter(*tree_, limits);
  ASSIGN_OR_RETURN(jinja::Text text, interpreter.Run(variables));
  if (input.continue_final_message) {
    ASSIGN_OR_RETURN(text, CutAtTag(text));
  }
  std::vector<RenderedSpan> spans;
  size_t begin = 0;
  for (const jinja::Text::Run& run : text.runs()) {
    spans.push_back({std::string(text.view().substr(begin, run.end - begin)), !run.tainted});
    begin = run.end;
  }
  return spans;
}

}  // namespace millrace
