// Reading the arguments of a builtin.
#pragma once

#include <optional>
#include <string_view>

#include "chat/jinja/interpreter.h"

namespace millrace::jinja {

using Bound = std::array<const Value*, kMaxParameters>;

// The argument at `slot`, or the fallback when it is absent. A wrong type fails and gives the fallback.
int64_t IntegerOr(Interpreter& interpreter, const Value* argument, int64_t fallback);
inline bool BooleanOr(const Value* argument, bool fallback) {
  return argument != nullptr ? Truthy(*argument) : fallback;
}
// The argument as a string; null when it is absent or None. Fails on any other type.
const Text* TextOrNull(Interpreter& interpreter, const Value* argument);
// str(self) as Jinja's string filters take their input; an error gives an empty text.
TextPtr InputText(Interpreter& interpreter, const Value& self);

// Lower case for a string, any other value as it is: how Jinja sorts and groups by default.
Value IgnoreCase(Interpreter& interpreter, const Value& value);
// item.a.b.0 for the attribute "a.b.0"; an integer attribute is an index. Null gives the item.
Value AttributePath(Interpreter& interpreter, const Value& item, const Value* attribute);

}  // namespace millrace::jinja
