#include "server/fields.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace millrace {
namespace {

constexpr size_t kMaxWarningBytes = 1024;

// A value as an error message shows it.
std::string Shown(const Json& value) {
  std::string text = DumpJson(value);
  if (text.size() > 80) text = ValidUtf8(text.substr(0, 77)) + "...";
  return text;
}

Status WrongType(const FieldSpec& spec, const Json& value, const char* expected) {
  return InvalidArgument("{} is {}, expected {}", spec.name, Shown(value), expected);
}

bool IsInteger(const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= INT64_MAX;
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && number == std::floor(number) && std::abs(number) < 9.0e15;
}

Status CheckNumber(const FieldSpec& spec, const Json& value) {
  if (!value.is_number()) return WrongType(spec, value, FieldTypeName(spec.type));
  if (spec.type == FieldType::kInt && !IsInteger(value)) return WrongType(spec, value, "an integer of 64 bits");
  const double number = value.get<double>();
  if (number >= spec.min && number <= spec.max) return OkStatus();
  return InvalidArgument("{} is {}, expected {} to {}", spec.name, Shown(value), spec.min, spec.max);
}

Status CheckCount(const FieldSpec& spec, size_t count, const char* what) {
  if (static_cast<double>(count) < spec.min)
    return InvalidArgument("{} has {} {}, expected at least {}", spec.name, count, what, spec.min);
  if (static_cast<double>(count) <= spec.max) return OkStatus();
  return InvalidArgument("{} has {} {}, the limit is {}", spec.name, count, what, spec.max);
}

Status CheckValue(const FieldSpec& spec, const Json& value) {
  switch (spec.type) {
    case FieldType::kBool:
      return value.is_boolean() ? OkStatus() : WrongType(spec, value, "true or false");
    case FieldType::kInt:
    case FieldType::kNumber:
      return CheckNumber(spec, value);
    case FieldType::kString:
      if (!value.is_string()) return WrongType(spec, value, "a string");
      return CheckCount(spec, value.get_ref<const std::string&>().size(), "bytes");
    case FieldType::kStrings:
      if (value.is_string()) return OkStatus();
      if (!value.is_array() ||
          !std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); })) {
        return WrongType(spec, value, "a string or a list of strings");
      }
      return CheckCount(spec, value.size(), "strings");
    case FieldType::kInts:
      if (!value.is_array() || !std::all_of(value.begin(), value.end(), [](const Json& item) {
            return item.is_number_integer() && item.get<double>() >= INT32_MIN && item.get<double>() <= INT32_MAX;
          })) {
        return WrongType(spec, value, "a list of integers of 32 bits");
      }
      return CheckCount(spec, value.size(), "entries");
    case FieldType::kWords:
    case FieldType::kArray:
      if (!value.is_array()) return WrongType(spec, value, "a list");
      return CheckCount(spec, value.size(), "entries");
    case FieldType::kObject:
      if (!value.is_object()) return WrongType(spec, value, "an object");
      return CheckCount(spec, value.size(), "members");
    case FieldType::kOnly:
      if (value == Json::parse(spec.fallback)) return OkStatus();
      return Unsupported("{} is {}, only {} is supported: {}", spec.name, Shown(value), spec.fallback, spec.doc);
    case FieldType::kAny:
      return OkStatus();
  }
  return OkStatus();
}

// A name as a header may carry it.
std::string PlainName(const std::string& name) {
  std::string plain = name.substr(0, 64);
  for (char& c : plain) c = c >= ' ' && c <= '~' ? c : '?';
  return plain;
}

}  // namespace

const char* FieldTypeName(FieldType type) {
  switch (type) {
    case FieldType::kBool:
      return "boolean";
    case FieldType::kInt:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kString:
      return "string";
    case FieldType::kStrings:
      return "string or list of strings";
    case FieldType::kInts:
      return "list of integers";
    case FieldType::kArray:
    case FieldType::kWords:
      return "list";
    case FieldType::kObject:
      return "object";
    case FieldType::kOnly:
      return "constant";
    case FieldType::kAny:
      return "see below";
  }
  return "";
}

// Looks for NAME of message.NAME, message["NAME"] and message.get("NAME"), whatever templates call the message.
bool ReadsOfMessage(std::string_view chat_template, std::string_view member) {
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (size_t at = chat_template.find(member); at != std::string_view::npos && !member.empty();
       at = chat_template.find(member, at + 1)) {
    const std::string_view rest = chat_template.substr(at + member.size());
    if (!rest.empty() && is_name(rest.front())) continue;
    std::string_view before = chat_template.substr(0, at);
    const auto skip = [&](std::string_view end) {
      if (!before.ends_with(end)) return false;
      before.remove_suffix(end.size());
      return true;
    };
    const bool quoted = skip("'") || skip("\"");
    if (quoted ? !skip("[") && !skip(".get(") : !skip(".")) continue;
    if (before.ends_with(']')) return true;  // messages[0].NAME
    size_t begin = before.size();
    while (begin > 0 && is_name(before[begin - 1])) --begin;
    const std::string_view object = before.substr(begin);
    if (object == "m" || object.find("mess") != std::string_view::npos || object.find("msg") != std::string_view::npos)
      return true;
  }
  return false;
}

const FieldSpec* FindField(Endpoint endpoint, std::string_view name) {
  for (const FieldSpec& spec : FieldTable()) {
    if ((spec.endpoints & endpoint) != 0 && spec.name == name) return &spec;
  }
  return nullptr;
}

bool IsAnyInt64(const FieldSpec& spec) {
  return spec.type == FieldType::kInt && spec.min == -0x1p63 && spec.max == 0x1p63;
}

bool IsFieldName(std::string_view name) {
  const std::span<const FieldSpec> table = FieldTable();
  return std::any_of(table.begin(), table.end(), [&](const FieldSpec& spec) { return spec.name == name; });
}

// Checks a body field by field and collects what has no effect.
class Fields::Reader {
 public:
  Reader(Endpoint endpoint, const FieldPolicy& policy) : endpoint_(endpoint), policy_(policy) {}

  Status Read(const std::string& name, const Json& value) {
    const FieldSpec* spec = FindField(endpoint_, name);
    if (spec == nullptr) {
      unknown_.push_back(name);
      return Note(PlainName(name), false);
    }
    if (value.is_null()) return OkStatus();
    if (spec->effect == FieldEffect::kRefused) return Unsupported("{} is not supported: {}", name, spec->doc);
    if (spec->effect == FieldEffect::kIgnored) return Note(name, true);
    RETURN_IF_ERROR(CheckValue(*spec, value));
    if (spec->type == FieldType::kWords) return ReadWords(*spec, value);
    return ReadMembers(name, value);
  }

  const std::vector<std::string>& unknown() const { return unknown_; }
  std::string TakeWarnings() { return fmt::format("{}", fmt::join(warnings_, "; ")); }

 private:
  // Names a field or member that is unknown, or known and without effect. strict: an error.
  Status Note(const std::string& name, bool known) {
    if (policy_.strict && known) return InvalidArgument("{} has no effect here (--strict-fields)", name);
    if (policy_.strict) return InvalidArgument("{} is not a field of this endpoint (--strict-fields)", name);
    std::string text = known ? fmt::format("field {} has no effect", name) : "unknown field " + name;
    if (warning_bytes_ + text.size() > kMaxWarningBytes) return OkStatus();
    if (std::find(warnings_.begin(), warnings_.end(), text) != warnings_.end()) return OkStatus();
    warning_bytes_ += text.size();
    warnings_.push_back(std::move(text));
    return OkStatus();
  }

  const MemberSpec* Find(std::span<const MemberSpec* const> members, std::string_view name) const {
    const auto found = std::find_if(members.begin(), members.end(), [&](const MemberSpec* member) {
      return (member->endpoints & endpoint_) != 0 && member->name == name;
    });
    return found == members.end() ? nullptr : *found;
  }

  Status ReadWords(const FieldSpec& spec, const Json& value) {
    for (const Json& word : value) {
      if (!word.is_string()) return InvalidArgument("{} has {}, expected strings", spec.name, Shown(word));
      const MemberSpec* member = Find(MembersOf(spec.name), word.get_ref<const std::string&>());
      if (member == nullptr) return InvalidArgument("{} has {}, which is none of its values", spec.name, Shown(word));
      if (member->effect == FieldEffect::kIgnored)
        RETURN_IF_ERROR(Note(fmt::format("{}.{}", spec.name, member->name), true));
    }
    return OkStatus();
  }

  // Lists are looked through; what is neither a list nor an object is for the endpoint to check.
  Status ReadMembers(const std::string& path, const Json& value) {
    if (!value.is_structured()) return OkStatus();
    const std::span<const MemberSpec* const> members = MembersOf(path);
    const bool known_path = std::any_of(members.begin(), members.end(),
                                        [&](const MemberSpec* member) { return (member->endpoints & endpoint_) != 0; });
    if (!known_path) return OkStatus();
    if (value.is_object()) return ReadObject(path, value, members);
    for (const Json& item : value) {
      if (item.is_object()) RETURN_IF_ERROR(ReadObject(path, item, members));
    }
    return OkStatus();
  }

  Status ReadObject(const std::string& path, const Json& object, std::span<const MemberSpec* const> members) {
    for (const auto& [name, value] : object.items()) {
      if (value.is_null()) continue;
      const MemberSpec* member = Find(members, name);
      const std::string full = path + "." + name;
      if (member != nullptr && member->effect == FieldEffect::kUsed) {
        RETURN_IF_ERROR(ReadMembers(full, value));
        continue;
      }
      // An empty list or text asks for nothing; replies have them, and clients send replies back.
      const bool empty =
          (value.is_array() && value.empty()) || (value.is_string() && value.get_ref<const std::string&>().empty());
      if (member != nullptr && empty) continue;
      if (InTemplate(path, name, member)) continue;
      RETURN_IF_ERROR(Note(path + "." + PlainName(name), member != nullptr));
    }
    return OkStatus();
  }

  // Whether a member that only a chat template can give an effect, known or not, has one.
  bool InTemplate(const std::string& path, const std::string& name, const MemberSpec* member) const {
    constexpr uint32_t kRendered = kChat | kApplyTemplate | kTokenize;
    if (member != nullptr && member->effect != FieldEffect::kInTemplate) return false;
    return path == "messages" && (endpoint_ & kRendered) != 0 && ReadsOfMessage(policy_.chat_template, name);
  }

  const Endpoint endpoint_;
  const FieldPolicy policy_;
  std::vector<std::string> unknown_, warnings_;
  size_t warning_bytes_ = 0;
};

Result<Fields> Fields::Parse(Endpoint endpoint, std::string_view body, const FieldPolicy& policy) {
  Fields fields;
  ASSIGN_OR_RETURN(fields.body_, ParseJson(body));
  if (!fields.body_.is_object()) return InvalidArgument("the body is not a JSON object");
  Reader reader(endpoint, policy);
  for (const auto& [name, value] : fields.body_.items()) RETURN_IF_ERROR(reader.Read(name, value));
  // Readers serve several endpoints: a field of another one, which nothing checked here, must not reach them.
  for (const std::string& name : reader.unknown()) fields.body_.erase(name);
  fields.warnings_ = reader.TakeWarnings();
  return fields;
}

const Json& Fields::Get(const char* name) const {
  static const Json null;
  const auto found = body_.find(name);
  return found == body_.end() ? null : *found;
}

bool Fields::Bool(const char* name, bool fallback) const {
  const Json& value = Get(name);
  return value.is_null() ? fallback : value.get<bool>();
}

int64_t Fields::Int(const char* name, int64_t fallback) const {
  const Json& value = Get(name);
  return value.is_null() ? fallback : value.get<int64_t>();
}

double Fields::Number(const char* name, double fallback) const {
  const Json& value = Get(name);
  return value.is_null() ? fallback : value.get<double>();
}

std::string Fields::String(const char* name) const {
  const Json& value = Get(name);
  return value.is_null() ? std::string() : value.get<std::string>();
}

std::vector<std::string> Fields::Strings(const char* name) const {
  const Json& value = Get(name);
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  return value.get<std::vector<std::string>>();
}

std::vector<TokenId> Fields::Ids(const char* name) const {
  const Json& value = Get(name);
  return value.is_null() ? std::vector<TokenId>() : value.get<std::vector<TokenId>>();
}

}  // namespace millrace
