#include "chat/output_grammar.h"

#include <utility>

#include "chat/call_grammar.h"
#include "chat/call_readers.h"
#include "chat/grammar_words.h"

namespace millrace {
namespace {

using namespace grammar_words;

Structure LineBreaks() {
  return InGrammar(GrammarKind::kRegex, "\\n{0,2}");
}

class OutputBuilder {
 public:
  OutputBuilder(const OutputFormat& format, const OutputDemand& demand, const grammar::VocabularyPtr& vocabulary)
      : format_(format), demand_(demand), vocabulary_(vocabulary) {}

  Result<std::optional<Structure>> Run() {
    RETURN_IF_ERROR(ReadFunctions());
    const bool harmony = format_.tools.kind == ToolFormat::Kind::kHarmony;
    std::optional<Structure> content;
    if (demand_.choice == ToolChoice::kRequired) {
      ASSIGN_OR_RETURN(content, Calls(false));
    } else if (demand_.choice == ToolChoice::kAuto && !functions_.empty() && (demand_.content || any_strict_)) {
      ASSIGN_OR_RETURN(content, harmony ? HarmonyAuto() : AutoCalls());
    } else if (demand_.content) {
      content = harmony ? FinalChannel(*demand_.content) : Content(*demand_.content);
    }
    if (!content && demand_.thinking_budget < 0) return std::optional<Structure>();
    if (harmony) return std::optional(HarmonyTurn(std::move(content)));
    return std::optional(AfterReasoning(std::move(content)));
  }

 private:
  Status ReadFunctions() {
    if (demand_.choice == ToolChoice::kNone || !demand_.tools.is_array()) return OkStatus();
    for (size_t i = 0; i < demand_.tools.size(); ++i) {
      const Json& tool = demand_.tools[i];
      if (!tool.is_object() || !tool.contains("function") || !tool["function"].is_object()) {
        return InvalidArgument("tools[{}] is not {{\"type\": \"function\", \"function\": {{...}}}}", i);
      }
      const Json& function = tool["function"];
      const Json name = function.value("name", Json());
      if (!name.is_string() || !IsCallName(name.get_ref<const std::string&>())) {
        return InvalidArgument("tools[{}].function.name is {}, expected a name without blanks, brackets and quotes", i,
                               name.dump());
      }
      if (!demand_.function.empty() && name != Json(demand_.function)) continue;
      RETURN_IF_ERROR(AddFunction(function, i));
    }
    if (demand_.choice == ToolChoice::kRequired && functions_.empty()) {
      return demand_.function.empty()
                 ? InvalidArgument("tool_choice demands a call, but tools is empty")
                 : InvalidArgument("tool_choice names the function {}, which is not among tools", demand_.function);
    }
    return OkStatus();
  }

  Status AddFunction(const Json& function, size_t index) {
    CallableFunction callable;
    callable.name = function["name"].get<std::string>();
    callable.parameters = ClosedParameters(function.value("parameters", Json()));
    const Json strict = function.value("strict", Json());
    any_strict_ = any_strict_ || strict == Json(true);
    const bool exact = strict == Json(true) || (demand_.choice == ToolChoice::kRequired && strict != Json(false));
    const Status status = Check(callable);
    if (!status.ok() && exact) {
      return Status(status.code(), fmt::format("tools[{}].function.parameters: {}", index, status.message()));
    }
    callable.any_arguments = !status.ok();
    functions_.push_back(std::move(callable));
    return OkStatus();
  }

  // Whether a function's parameters can be enforced in the model's format.
  Status Check(const CallableFunction& function) const {
    ASSIGN_OR_RETURN(const Structure structure, CallStructure(format_.tools, {function}, {.parallel = false}));
    return grammar::CompileStructure(structure, vocabulary_).status();
  }

  Result<Structure> Calls(bool after_begin) const {
    return CallStructure(format_.tools, functions_, {.parallel = demand_.parallel_calls, .after_begin = after_begin});
  }

  // A model that always writes to a recipient writes its content to that name.
  Structure Content(Structure content) const {
    if (!format_.tools.starts_in_call) return content;
    return Sequence({Text(format_.tools.content_name + format_.tools.args_begin), std::move(content)});
  }

  // Calls, or what the content has to be; with free content, calls wherever their trigger comes.
  Result<Structure> AutoCalls() const {
    const ToolFormat& tools = format_.tools;
    if (demand_.content) {
      ASSIGN_OR_RETURN(Structure calls, Calls(false));
      return Choice({std::move(calls), Content(*demand_.content)});
    }
    const std::string& trigger = CallTrigger(tools);
    if (trigger.empty()) return BareAuto();
    std::vector<std::string> stops = {trigger};
    for (const std::string* other : {&tools.call_begin, &format_.reasoning.begin}) {
      if (!other->empty() && *other != trigger) stops.push_back(*other);
    }
    ASSIGN_OR_RETURN(Structure calls, Calls(!tools.starts_in_call));
    if (tools.starts_in_call) {
      Structure text = Choice({Free(stops), Until(stops, {calls})});
      return Choice({std::move(calls), Content(std::move(text))});
    }
    Structure called = Until(stops, {std::move(calls)});
    if (!demand_.parallel_calls) return Choice({std::move(called), Free(std::move(stops))});
    return Sequence({Many(std::move(called)), Free(std::move(stops))});
  }

  // Nothing but its first character tells a call from text.
  Result<Structure> BareAuto() const {
    ASSIGN_OR_RETURN(Structure calls, Calls(false));
    Structure text = Sequence({InGrammar(GrammarKind::kRegex, "[^\\s\\[{<]"), Free()});
    return Choice({std::move(calls), std::move(text), Sequence({})});
  }

  // Everything else, after reasoning whose budget counts: it can't be mistaken for another block of it.
  Structure AnythingButReasoning() const {
    std::vector<std::string> stops;
    for (const std::string* trigger : {&format_.tools.section_begin, &format_.tools.call_begin}) {
      if (!trigger->empty()) stops.push_back(*trigger);
    }
    std::vector<Structure> then(stops.size(), Anything());
    stops.push_back(format_.reasoning.begin);
    return Choice({Free(stops), Until(stops, std::move(then))});
  }

  Structure AfterReasoning(std::optional<Structure> content) const {
    const ReasoningFormat& reasoning = format_.reasoning;
    if (reasoning.end.empty() || (!demand_.opens_reasoning && !demand_.may_reason)) {
      return content ? *std::move(content) : Anything();
    }
    Structure inside = Until({reasoning.end}, {LineBreaks()});
    inside.budget_tokens = demand_.thinking_budget;
    if (demand_.opens_reasoning) return Sequence({std::move(inside), content ? *std::move(content) : Anything()});
    Structure block = Sequence({LineBreaks(), Text(reasoning.begin), std::move(inside)});
    return Sequence({Optional(std::move(block)), content ? *std::move(content) : AnythingButReasoning()});
  }

  static Structure FinalChannel(Structure content) {
    return Sequence(
        {Text("<|channel|>final"), Optional(Text(" <|constrain|>json")), Text("<|message|>"), std::move(content)});
  }

  static Structure Message(const std::string& channel) {
    return Sequence({Text("<|channel|>" + channel + "<|message|>"), Until({"<|end|>"}, {Text("<|start|>assistant")})});
  }

  Result<Structure> HarmonyAuto() const {
    ASSIGN_OR_RETURN(Structure calls, Calls(false));
    return Choice({std::move(calls), FinalChannel(demand_.content ? *demand_.content : Free())});
  }

  // Channels of reasoning, then remarks to the user, then the content.
  Structure HarmonyTurn(std::optional<Structure> content) const {
    Structure analysis = Message("analysis");
    analysis.children[1].budget_tokens = demand_.thinking_budget;
    analysis = demand_.thinking_budget < 0 ? Many(std::move(analysis)) : Optional(std::move(analysis));
    if (!content) {
      std::vector<Structure> others;
      for (const char* begin : {"<|channel|>final", "<|channel|>commentary", " to="})
        others.push_back(Sequence({Text(begin), Anything()}));
      return Sequence({std::move(analysis), Choice(std::move(others))});
    }
    return Sequence({std::move(analysis), Many(Message("commentary")), *std::move(content)});
  }

  const OutputFormat& format_;
  const OutputDemand& demand_;
  const grammar::VocabularyPtr& vocabulary_;
  std::vector<CallableFunction> functions_;
  bool any_strict_ = false;
};

}  // namespace

ToolFormat FormatOfForcedCalls(const ToolFormat& format) {
  return format.kind == ToolFormat::Kind::kNone ? FindToolFormat("hermes").value() : format;
}

Result<grammar::GrammarPtr> CompileOutputGrammar(const OutputFormat& format, const OutputDemand& demand,
                                                 const grammar::VocabularyPtr& vocabulary) {
  OutputFormat used = format;
  if (demand.choice == ToolChoice::kRequired) used.tools = FormatOfForcedCalls(format.tools);
  OutputDemand wanted = demand;
  if (used.tools.kind == ToolFormat::Kind::kNone && demand.choice == ToolChoice::kAuto)
    wanted.choice = ToolChoice::kNone;
  ASSIGN_OR_RETURN(const std::optional<Structure> structure, OutputBuilder(used, wanted, vocabulary).Run());
  if (!structure) return grammar::GrammarPtr();
  return grammar::CompileStructure(*structure, vocabulary);
}

}  // namespace millrace
