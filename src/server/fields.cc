#include "server/fields.h"

#include <algorithm>
#include <cmath>
#include <iterator>

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
  if (static_cast<double>(count) < spec.min) return InvalidArgument("{} has {} {}, expected at least {}", spec.name, count, what, spec.min);
  if (static_cast<double>(count) <= spec.max) return OkStatus();
  return InvalidArgument("{} has {} {}, the limit is {}", spec.name, count, what, spec.max);
}

Status CheckValue(const FieldSpec& spec, const Json& value) {
  switch (spec.type) {
    case FieldType::kBool: return value.is_boolean() ? OkStatus() : WrongType(spec, value, "true or false");
    case FieldType::kInt:
    case FieldType::kNumber: return CheckNumber(spec, value);
    case FieldType::kString:
      if (!value.is_string()) return WrongType(spec, value, "a string");
      return CheckCount(spec, value.get_ref<const std::string&>().size(), "bytes");
    case FieldType::kStrings:
      if (value.is_string()) return OkStatus();
      if (!value.is_array() || !std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); })) {
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
    case FieldType::kArray:
      if (!value.is_array()) return WrongType(spec, value, "a list");
      return CheckCount(spec, value.size(), "entries");
    case FieldType::kObject:
      if (!value.is_object()) return WrongType(spec, value, "an object");
      return CheckCount(spec, value.size(), "members");
    case FieldType::kOnly:
      if (value == Json::parse(spec.fallback)) return OkStatus();
      return Unsupported("{} is {}, only {} is supported: {}", spec.name, Shown(value), spec.fallback, spec.doc);
    case FieldType::kAny: return OkStatus();
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
    case FieldType::kBool: return "boolean";
    case FieldType::kInt: return "integer";
    case FieldType::kNumber: return "number";
    case FieldType::kString: return "string";
    case FieldType::kStrings: return "string or list of strings";
    case FieldType::kInts: return "list of integers";
    case FieldType::kArray: return "list";
    case FieldType::kObject: return "object";
    case FieldType::kOnly: return "constant";
    case FieldType::kAny: return "see below";
  }
  return "";
}

const FieldSpec* FindField(Endpoint endpoint, std::string_view name) {
  for (const FieldSpec& spec : FieldTable()) {
    if ((spec.endpoints & endpoint) != 0 && spec.name == name) return &spec;
  }
  return nullptr;
}

bool IsAnyInt64(const FieldSpec& spec) { return spec.type == FieldType::kInt && spec.min == -0x1p63 && spec.max == 0x1p63; }

bool IsFieldName(std::string_view name) {
  const std::span<const FieldSpec> table = FieldTable();
  return std::any_of(table.begin(), table.end(), [&](const FieldSpec& spec) { return spec.name == name; });
}

Result<Fields> Fields::Parse(Endpoint endpoint, std::string_view body, bool strict) {
  Fields fields;
  ASSIGN_OR_RETURN(fields.body_, ParseJson(body));
  if (!fields.body_.is_object()) return InvalidArgument("the body is not a JSON object");
  std::vector<std::string> unknown;
  for (const auto& [name, value] : fields.body_.items()) {
    const FieldSpec* spec = FindField(endpoint, name);
    if (spec == nullptr) {
      RETURN_IF_ERROR(fields.Note(PlainName(name), false, strict));
      unknown.push_back(name);
      continue;
    }
    if (value.is_null()) continue;
    if (spec->effect == FieldEffect::kRefused) return Unsupported("{} is not supported: {}", name, spec->doc);
    if (spec->effect == FieldEffect::kIgnored) {
      RETURN_IF_ERROR(fields.Note(name, true, strict));
      continue;
    }
    RETURN_IF_ERROR(CheckValue(*spec, value));
    RETURN_IF_ERROR(fields.NoteMembers(endpoint, name, value, strict));
  }
  // Readers serve several endpoints: a field of another one, which nothing checked here, must not reach them.
  for (const std::string& name : unknown) fields.body_.erase(name);
  return fields;
}

Status Fields::Note(const std::string& name, bool known, bool strict) {
  if (strict && known) return InvalidArgument("{} has no effect here (--strict-fields)", name);
  if (strict) return InvalidArgument("{} is not a field of this endpoint (--strict-fields)", name);
  const std::string text = known ? fmt::format("field {} has no effect", name) : "unknown field " + name;
  if (warnings_.size() + text.size() > kMaxWarningBytes) return OkStatus();
  warnings_ += (warnings_.empty() ? "" : "; ") + text;
  return OkStatus();
}

Status Fields::NoteMembers(Endpoint endpoint, const std::string& field, const Json& value, bool strict) {
  const std::span<const MemberSpec> table = MemberTable();
  const auto is_of = [&](const MemberSpec& member) { return member.field == field && (member.endpoints & endpoint) != 0; };
  if (std::none_of(table.begin(), table.end(), is_of)) return OkStatus();
  for (const auto& [key, member] : value.items()) {
    if (member.is_null() && value.is_object()) continue;
    if (value.is_array() && !member.is_string()) return InvalidArgument("{} has {}, expected strings", field, Shown(member));
    const std::string name = value.is_array() ? member.get<std::string>() : key;
    const auto found = std::find_if(table.begin(), table.end(), [&](const MemberSpec& spec) { return is_of(spec) && spec.name == name; });
    const bool known = found != table.end();
    if (known && found->effect == FieldEffect::kUsed) continue;
    if (!known && value.is_array()) return InvalidArgument("{} has {}, which is none of its values", field, Shown(member));
    RETURN_IF_ERROR(Note(field + "." + PlainName(name), known, strict));
  }
  return OkStatus();
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
