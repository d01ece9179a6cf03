// JSON of values, spelled as Python's json.dumps does, which is what Hugging Face's `tojson` filter prints; and values
// from parsed JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"
#include "chat/jinja/interpreter.h"

namespace millrace::jinja {

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;  // of one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// The JSON text; tainted when any string in the value is. Fails on a value that JSON doesn't have.
Value ToJson(Interpreter& interpreter, const Value& value, const JsonStyle& style);

// Deeper JSON is refused.
constexpr int kMaxJsonDepth = 64;

// A value that keeps the order of keys; every string is tainted or none. Integers beyond 64 bits become floats.
Result<Value> FromJson(const nlohmann::ordered_json& json, bool tainted, Heap& heap, int depth = 0);

}  // namespace millrace::jinja
