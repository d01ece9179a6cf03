// CallGrammar: how tool calls are spelled, as structures for guided decoding. One for every ToolFormat.
#pragma once

#include <string>
#include <vector>

#include "chat/output_format.h"
#include "grammar/structure.h"

namespace millrace {

// A function that may be called.
struct CallableFunction {
  std::string name;
  nlohmann::ordered_json parameters;  // JSON Schema of an object
  bool any_arguments = false;         // its schema is not enforced: any object
};

// The parameters of a function as a schema of an object: `type` is added, and properties that are not declared are
// excluded unless the schema says something about them.
nlohmann::ordered_json ClosedParameters(const nlohmann::ordered_json& parameters);

struct CallGrammarOptions {
  bool parallel = true;      // more than one call
  bool after_begin = false;  // the text that opens the calls (CallTrigger) has been read
};

// What opens the calls of a turn; "" when nothing does (bare JSON, pythonic lists).
const std::string& CallTrigger(const ToolFormat& format);

// At least one call of one of the functions, as the format's parser reads it. Not for Kind::kNone. kUnsupported: the
// format can't hold what a schema asks for; the message names function, parameter and keyword.
Result<grammar::Structure> CallStructure(const ToolFormat& format, const std::vector<CallableFunction>& functions,
                                         const CallGrammarOptions& options);

}  // namespace millrace
