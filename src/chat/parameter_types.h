// The types that a parameter's schema names: what bare text is turned into, and what may be written bare.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace millrace {

// Named directly, in one anyOf, or, failing that, as those of the enum's or const's values. Empty: none is named, or
// there is no schema (null).
std::vector<std::string> SchemaTypes(const nlohmann::ordered_json* schema);

}  // namespace millrace
