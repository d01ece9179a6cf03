// OutputGrammar: what a request demands of an answer (reasoning, its budget, tool calls, the form of the content) as
// one grammar over the model's own markers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chat/output_format.h"
#include "grammar/structure.h"

namespace millrace {

enum class ToolChoice : uint8_t {
  kNone,      // no calls are looked for
  kAuto,      // the model decides
  kRequired,  // at least one call and nothing beside
};

struct OutputDemand {
  // [{"type": "function", "function": {"name", "parameters", "strict"}}, ...] or null. Under kRequired, and where
  // `strict` is true, the arguments of a call meet the schema of its parameters, and a schema that can't be enforced is
  // an error; `strict`: false asks for any JSON object instead where that is so.
  nlohmann::ordered_json tools;
  ToolChoice choice = ToolChoice::kAuto;
  std::string function;  // the one that may be called; "" for any
  bool parallel_calls = true;
  bool opens_reasoning = false;               // the prompt ends inside a reasoning block
  bool may_reason = true;                     // the answer may open one
  int thinking_budget = -1;                   // tokens of reasoning at most; -1: no limit
  std::optional<grammar::Structure> content;  // what the content is, where it isn't free
};

// The format in which a call can be demanded: the model's, or Hermes's for a model whose template knows no calls.
ToolFormat FormatOfForcedCalls(const ToolFormat& format);

// Null when the demand leaves everything to the model. The grammar begins where the prompt ends, and applies to the
// content and the calls only, after the reasoning. Errors name the tool ("tools[2].function...") or are those of the
// content's grammar.
Result<grammar::GrammarPtr> CompileOutputGrammar(const OutputFormat& format, const OutputDemand& demand,
                                                 const grammar::VocabularyPtr& vocabulary);

}  // namespace millrace
