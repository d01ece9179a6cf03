// Small accessors over simdjson's DOM that answer a default where a key is missing or of another type.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace millrace {

inline constexpr size_t kMaxJsonDepth = 64;

// Owns the parsed text. kDataLoss with simdjson's message when it is no JSON, kOutOfRange beyond the depth.
class JsonDocument {
 public:
  static Result<JsonDocument> Parse(std::string_view text, std::string_view name);
  simdjson::dom::element root() const { return root_; }

 private:
  std::unique_ptr<simdjson::dom::parser> parser_;
  simdjson::dom::element root_;
};

using JsonValue = simdjson::dom::element;

// The member, or nullopt when `value` is no object, the member is missing or null.
std::optional<JsonValue> JsonMember(JsonValue value, std::string_view key);
std::string_view JsonString(JsonValue value, std::string_view key, std::string_view fallback = {});
bool JsonBool(JsonValue value, std::string_view key, bool fallback);
std::optional<int64_t> JsonInt(JsonValue value, std::string_view key);
// The "type" member, which every part of tokenizer.json has.
inline std::string_view JsonType(JsonValue value) {
  return JsonString(value, "type");
}

// Standard alphabet, padding optional; nullopt for anything else.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace millrace
