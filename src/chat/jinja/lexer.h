// Lexer of Jinja templates with the settings of Hugging Face's chat templates: trim_blocks (the newline after a block
// tag or comment goes), lstrip_blocks (blanks before one at the start of a line go), no line statements, one newline at
// the end of the source dropped. Linear in the source.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "chat/jinja/token.h"

namespace millrace::jinja {

// The tokens of the source, ended by kEnd. Errors name the line.
Result<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace millrace::jinja
