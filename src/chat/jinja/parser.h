// Parser of Jinja templates: tokens to a Tree. Inheritance and inclusion ({% extends %}, {% include %}, {% import %})
// and translation are not part of chat templates and are refused.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "chat/jinja/ast.h"

namespace millrace::jinja {

// Expressions and statements may nest this deep; the interpreter's recursion is a small multiple of it.
constexpr int kMaxNesting = 100;

// Errors name the line, what was expected and what was found.
Result<std::unique_ptr<const Tree>> Parse(std::string_view source);

}  // namespace millrace::jinja
