#include "tokenizer/json.h"

#include "tokenizer/vocab.h"

namespace millrace {

Result<JsonDocument> JsonDocument::Parse(std::string_view text, std::string_view name) {
  if (text.size() > kMaxTokenFileBytes) {
    return OutOfRange("{} has {} bytes, expected at most {}", name, text.size(), kMaxTokenFileBytes);
  }
  JsonDocument document;
  document.parser_ = std::make_unique<simdjson::dom::parser>();
  auto error = document.parser_->allocate(std::max<size_t>(text.size(), 32), kMaxJsonDepth);
  if (error) return ResourceExhausted("{}: {}", name, simdjson::error_message(error));
  error = document.parser_->parse(text.data(), text.size(), true).get(document.root_);
  if (error == simdjson::DEPTH_ERROR) return OutOfRange("{} nests deeper than {} levels", name, kMaxJsonDepth);
  if (error) return DataLoss("{} is not JSON: {}", name, simdjson::error_message(error));
  return document;
}

std::optional<JsonValue> JsonMember(JsonValue value, std::string_view key) {
  simdjson::dom::object object;
  JsonValue member;
  if (value.get(object) || object[key].get(member) || member.is_null()) return std::nullopt;
  return member;
}

std::string_view JsonString(JsonValue value, std::string_view key, std::string_view fallback) {
  const auto member = JsonMember(value, key);
  std::string_view text;
  return member && !member->get(text) ? text : fallback;
}

bool JsonBool(JsonValue value, std::string_view key, bool fallback) {
  const auto member = JsonMember(value, key);
  bool flag = fallback;
  return member && !member->get(flag) ? flag : fallback;
}

std::optional<int64_t> JsonInt(JsonValue value, std::string_view key) {
  const auto member = JsonMember(value, key);
  int64_t number = 0;
  return member && !member->get(number) ? std::optional(number) : std::nullopt;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    uint32_t value;
    if (c >= 'A' && c <= 'Z')
      value = static_cast<uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = static_cast<uint32_t>(c - 'a' + 26);
    else if (c >= '0' && c <= '9')
      value = static_cast<uint32_t>(c - '0' + 52);
    else if (c == '+')
      value = 62;
    else if (c == '/')
      value = 63;
    else
      return std::nullopt;
    bits = ((bits << 6) | value) & 0xFFFF;
    num_bits += 6;
    if (num_bits >= 8) {
      num_bits -= 8;
      bytes.push_back(static_cast<char>((bits >> num_bits) & 0xFF));
    }
  }
  return bytes;
}

}  // namespace millrace
