// Tokens of a template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::jinja {

enum class TokenKind : uint8_t {
  kData,           // text outside of tags
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // data, name, unescaped string, or the spelling of the operator
  int64_t integer = 0;
  double real = 0;
};

}  // namespace millrace::jinja
