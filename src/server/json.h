// JSON of API bodies: bounded before it is parsed, since a parser builds what it reads.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace millrace {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  int max_depth = 64;
  size_t max_members_per_object = 2048;  // lookups in an ordered object are linear
  size_t max_members = 256 << 10;        // of all objects
  size_t max_values = 4 << 20;
};

// kInvalidArgument for what is not JSON, kOutOfRange beyond a limit; the message names it.
Result<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Invalid UTF-8 becomes U+FFFD.
std::string DumpJson(const Json& value);

// A string made valid UTF-8 in the same way.
std::string ValidUtf8(std::string_view bytes);

}  // namespace millrace
