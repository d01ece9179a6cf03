#include "model_loader/json_file.h"

#include "base/file.h"

namespace millrace {
namespace {

// Deepest nesting of brackets outside strings; enough to bound the parser, which checks the rest.
int Depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<nlohmann::json> ParseJsonObject(std::string_view text, const std::string& where) {
  if (Depth(text) > kMaxJsonDepth) return InvalidArgument("{}: JSON is nested deeper than {}", where, kMaxJsonDepth);
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) return InvalidArgument("{}: expected a JSON object", where);
  return value;
}

Result<nlohmann::json> ReadJsonObject(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxJsonFileBytes));
  return ParseJsonObject(text, path);
}

Field JsonFields::Get(std::string_view key) const {
  const auto it = object_.find(key);
  if (it == object_.end() || it->is_null()) return std::monostate();
  if (it->is_boolean()) return it->get<bool>();
  if (it->is_number()) return it->get<double>();
  if (it->is_string()) return it->get<std::string>();
  if (!it->is_array() || it->size() > kMaxFieldList) return UnreadableField();
  std::vector<double> list;
  for (const nlohmann::json& element : *it) {
    if (element.is_number()) {
      list.push_back(element.get<double>());
    } else if (element.is_boolean()) {
      list.push_back(element.get<bool>() ? 1.0 : 0.0);
    } else {
      return UnreadableField();
    }
  }
  return list;
}

}  // namespace millrace
