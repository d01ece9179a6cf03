// PrepareChat: the prompt of a chat, and what its order demands of the answer as the grammar that enforces it and the
// options of the parser that reads it.
#include <algorithm>

#include "chat/output_grammar.h"
#include "server/chat_prompt.h"

namespace millrace {
namespace {

std::string NameIn(const Json& value) {
  if (value.is_object() && value.contains("function")) return NameIn(value["function"]);
  return value.is_object() && value.contains("name") && value["name"].is_string() ? value["name"].get<std::string>()
                                                                                  : "";
}

// {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required", "tools": [...]}}, or the members beside
// "type".
Status ReadAllowedTools(const Json& choice, OutputDemand* demand) {
  const Json& allowed =
      choice.contains("allowed_tools") && choice["allowed_tools"].is_object() ? choice["allowed_tools"] : choice;
  if (!allowed.contains("tools") || !allowed["tools"].is_array())
    return InvalidArgument("tool_choice.allowed_tools has no list of tools");
  const Json mode = allowed.contains("mode") && !allowed["mode"].is_null() ? allowed["mode"] : Json("auto");
  if (mode != "auto" && mode != "required") {
    return InvalidArgument("tool_choice.allowed_tools.mode is {}, expected auto or required",
                           DumpJson(mode).substr(0, 64));
  }
  demand->choice = mode == "required" ? ToolChoice::kRequired : ToolChoice::kAuto;
  Json kept = Json::array();
  for (const Json& tool : demand->tools) {
    const auto named = [&](const Json& name) { return NameIn(name) == NameIn(tool); };
    if (std::any_of(allowed["tools"].begin(), allowed["tools"].end(), named)) kept.push_back(tool);
  }
  demand->tools = std::move(kept);
  return OkStatus();
}

// That each is a function with a name; what else it must be is checked where its calls are.
Status CheckTools(const Json& tools) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const Json& tool = tools[i];
    if (!tool.is_object())
      return InvalidArgument("tools[{}] is {}, expected an object", i, DumpJson(tool).substr(0, 64));
    const Json type = tool.value("type", Json("function"));
    if (type != "function")
      return Unsupported("tools[{}].type is {}, expected function", i, DumpJson(type).substr(0, 64));
    if (NameIn(tool.value("function", Json())).empty())
      return InvalidArgument("tools[{}].function is not an object with a name", i);
  }
  return OkStatus();
}

Status ReadToolChoice(const Json& choice, OutputDemand* demand) {
  const bool has_tools = demand->tools.is_array() && !demand->tools.empty();
  demand->choice = has_tools ? ToolChoice::kAuto : ToolChoice::kNone;
  if (choice.is_null()) return OkStatus();
  const Json& type = choice.is_object() && choice.contains("type") ? choice["type"] : choice;
  const std::string word = type.is_string() ? type.get<std::string>() : "";
  if (word == "auto") return OkStatus();
  if (word == "none") {
    demand->choice = ToolChoice::kNone;
    return OkStatus();
  }
  if (!has_tools) return InvalidArgument("tool_choice is {} without tools", DumpJson(choice).substr(0, 80));
  if (word == "allowed_tools") return ReadAllowedTools(choice, demand);
  demand->choice = ToolChoice::kRequired;
  if (word == "required" || word == "any") return OkStatus();
  demand->function = NameIn(choice);
  if ((word == "function" || word == "tool") && !demand->function.empty()) return OkStatus();
  return InvalidArgument("tool_choice is {}, expected none, auto, required or a named function",
                         DumpJson(choice).substr(0, 80));
}

// Everything that the grammar depends on, the model's format apart.
std::string CacheKey(const OutputDemand& demand, const std::optional<OutputConstraint>& content) {
  const Json constraint = content ? Json{content->kind, content->text} : Json();
  return DumpJson({demand.tools, static_cast<int>(demand.choice), demand.function, demand.parallel_calls,
                   demand.opens_reasoning, demand.may_reason, demand.thinking_budget, constraint});
}

// Sets the grammar of the answer to this prompt.
Result<ChoiceParserOptions> Control(const Service& service, const ChatOrder& order, const ChatPrompt& prompt,
                                    GenerationSpec* spec) {
  const OutputFormat& format = service.format;
  OutputDemand demand;
  RETURN_IF_ERROR(CheckTools(order.tools));
  demand.tools = order.tools;
  RETURN_IF_ERROR(ReadToolChoice(order.tool_choice, &demand));
  demand.parallel_calls = order.parallel_calls;
  demand.opens_reasoning = prompt.opens_reasoning;
  demand.may_reason = !prompt.closes_reasoning;
  demand.thinking_budget = order.thinking_budget;
  if (demand.thinking_budget >= 0 && format.reasoning.end.empty() && format.tools.kind != ToolFormat::Kind::kHarmony) {
    return InvalidArgument(
        "thinking_token_budget is {}, but this model does not mark its reasoning (--reasoning-parser)",
        demand.thinking_budget);
  }
  ChoiceParserOptions parser;
  parser.opens_reasoning = prompt.opens_reasoning;
  parser.parse_tools = demand.choice != ToolChoice::kNone;
  parser.tools = demand.tools;
  parser.parallel_calls = demand.parallel_calls;
  if (demand.choice == ToolChoice::kRequired) parser.tool_format = FormatOfForcedCalls(format.tools);
  const auto compile = [&](const grammar::VocabularyPtr& vocabulary) -> Result<grammar::GrammarPtr> {
    if (!spec->constraint) return CompileOutputGrammar(format, demand, vocabulary);
    demand.content = spec->constraint->AsStructure();
    Result<grammar::GrammarPtr> compiled = CompileOutputGrammar(format, demand, vocabulary);
    const bool own = !compiled.ok() && !compiled.status().message().starts_with("tool");
    return own ? compiled.status().WithPrefix(spec->constraint->field) : compiled;
  };
  ASSIGN_OR_RETURN(spec->grammar, service.grammars.Get(CacheKey(demand, spec->constraint), compile));
  return parser;
}

}  // namespace

Result<ChoiceParserOptions> PrepareChat(const Service& service, const ChatOrder& order, GenerationSpec* spec) {
  Result<ChatPrompt> built = BuildChatPrompt(service, order.input);
  if (!built.ok()) return OfChat(built.status(), order.field);
  ChatPrompt prompt = *std::move(built);
  ASSIGN_OR_RETURN(ChoiceParserOptions parser, Control(service, order, prompt, spec));
  spec->sampling.skip_special_tokens = !service.format_needs_special_tokens;
  spec->prompts.push_back(std::move(prompt.token_ids));
  return parser;
}

}  // namespace millrace
