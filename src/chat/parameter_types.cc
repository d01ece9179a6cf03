#include "chat/parameter_types.h"

#include <algorithm>

namespace millrace {
namespace {

using Json = nlohmann::ordered_json;

std::string TypeOf(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_array()) return "array";
  return value.is_null() ? "null" : "object";
}

void Add(std::string type, std::vector<std::string>& types) {
  if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(std::move(type));
}

}  // namespace

std::vector<std::string> SchemaTypes(const Json* schema) {
  std::vector<std::string> types;
  if (schema == nullptr || !schema->is_object()) return types;
  const auto type = schema->find("type");
  if (type != schema->end() && type->is_string()) Add(type->get<std::string>(), types);
  if (type != schema->end() && type->is_array()) {
    for (const Json& one : *type) {
      if (one.is_string()) Add(one.get<std::string>(), types);
    }
  }
  const auto any = schema->find("anyOf");
  if (any != schema->end() && any->is_array()) {
    for (const Json& one : *any) {
      if (one.is_object() && one.contains("type") && one["type"].is_string())
        Add(one["type"].get<std::string>(), types);
    }
  }
  if (!types.empty()) return types;
  if (const auto values = schema->find("enum"); values != schema->end() && values->is_array()) {
    for (const Json& value : *values) Add(TypeOf(value), types);
  } else if (const auto value = schema->find("const"); value != schema->end()) {
    Add(TypeOf(*value), types);
  }
  return types;
}

}  // namespace millrace
