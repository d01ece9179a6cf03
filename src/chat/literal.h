// Values that models write as JSON or as Python literals, and JSON strings.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// JSON's white space.
inline bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The JSON of one literal: numbers, strings in either quotes, true/True, null/None, lists, tuples and dicts. Nothing
// when the text is anything else or is nested deeper than 64. Blanks around it are ignored.
std::optional<std::string> LiteralToJson(std::string_view text);

// "string", "number", "integer", "boolean", "null", "array" or "object", by the first character of a JSON text.
std::string_view JsonTypeOf(std::string_view json);

// Appends a character of a string, escaped for JSON; bytes of UTF-8 characters pass as they are.
void AppendJsonEscaped(char c, std::string& out);
std::string JsonQuote(std::string_view text);

}  // namespace millrace
