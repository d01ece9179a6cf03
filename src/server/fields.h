// The request fields of every endpoint, as one table: it drives parsing, bounds, the unknown-field warning, docs/api.md
// and the boundary tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/token.h"
#include "server/json.h"

namespace millrace {

enum Endpoint : uint32_t {
  kChat = 1,
  kCompletions = 2,
  kMessages = 4,
  kResponses = 8,
  kTokenize = 16,
  kDetokenize = 32,
  kApplyTemplate = 64,
  kEmbeddings = 128,
  kCountTokens = 256,
};

enum class FieldType : uint8_t {
  kBool,
  kInt,      // min and max bound the value
  kNumber,   // likewise
  kString,   // min and max bound the bytes
  kStrings,  // a string or a list of strings; min and max bound the number of strings
  kInts,     // a list of integers of 32 bits; min and max bound their number
  kArray,    // min and max bound the number of elements
  kObject,   // min and max bound the number of members
  kWords,    // a list of the names that the member table has; min and max bound their number
  kOnly,     // the one supported value is `fallback`, as JSON
  kAny,      // checked by its endpoint
};

enum class FieldEffect : uint8_t {
  kUsed,
  kIgnored,     // accepted without effect: named in the warning header, refused by --strict-fields
  kRefused,     // any value but null is a 400
  kInTemplate,  // of members of messages: used when the chat template reads it, else as kIgnored
};

struct FieldSpec {
  const char* name;
  FieldType type;
  double min, max;
  const char* fallback;  // as documented; "" when there is none
  uint32_t endpoints;
  FieldEffect effect;
  const char* doc;
};

// A member of the object, or of the objects in the list, that `field` names: a field, or a path of members below one
// ("messages.content"). Of a field of kWords, one of the words.
struct MemberSpec {
  const char* field;
  const char* name;
  uint32_t endpoints;
  FieldEffect effect;
};

std::span<const FieldSpec> FieldTable();
// What has no members here is not looked into.
std::span<const MemberSpec> MemberTable();
// The members of `path`, of all endpoints.
std::span<const MemberSpec* const> MembersOf(std::string_view path);
// An integer whose bounds are those of its type, -2^63 and 2^63 (exclusive), which a double can't tell from their
// neighbours.
bool IsAnyInt64(const FieldSpec& spec);
const FieldSpec* FindField(Endpoint endpoint, std::string_view name);
bool IsFieldName(std::string_view name);  // of any endpoint
const char* FieldTypeName(FieldType type);
// The table as a page of documentation.
std::string DescribeFields();

struct FieldPolicy {
  bool strict = false;             // fields and members that are ignored or unknown are errors
  std::string_view chat_template;  // decides which members of messages have an effect
};
// Whether a chat template reads this member of a message.
bool ReadsOfMessage(std::string_view chat_template, std::string_view member);

// A parsed body whose fields have the types and bounds of the table. Null counts as absent, and so do fields of other
// endpoints.
class Fields {
 public:
  // The message of an error begins with the field's name and has its value and the limit.
  static Result<Fields> Parse(Endpoint endpoint, std::string_view body, const FieldPolicy& policy);

  bool Has(const char* name) const { return !Get(name).is_null(); }
  const Json& Get(const char* name) const;
  // Replaces a field by one that the endpoint made, unchecked.
  void Set(const char* name, Json value) { body_[name] = std::move(value); }
  bool Bool(const char* name, bool fallback) const;
  int64_t Int(const char* name, int64_t fallback) const;
  double Number(const char* name, double fallback) const;
  std::string String(const char* name) const;
  std::vector<std::string> Strings(const char* name) const;
  std::vector<TokenId> Ids(const char* name) const;

  // "unknown field foo; field user has no effect; field messages.content.cache_control has no effect", or "". Each is
  // named once.
  const std::string& warnings() const { return warnings_; }

 private:
  class Reader;

  Json body_;
  std::string warnings_;
};

}  // namespace millrace
