// The arguments of one call as structures: as a JSON object, as tagged parameters, as keyword arguments.
#pragma once

#include "chat/call_grammar.h"

namespace millrace {

grammar::Structure JsonArguments(const CallableFunction& function);
// Parameters in tags, in the order of the schema. A string is written bare, so its text can't hold param_end.
// kUnsupported names a keyword that relates parameters to each other, which tags can't follow.
Result<grammar::Structure> XmlArguments(const ToolFormat& format, const CallableFunction& function);
// name=value with values as JSON: the required ones in the order of the schema, then the others.
Result<grammar::Structure> PythonicArguments(const CallableFunction& function);

}  // namespace millrace
