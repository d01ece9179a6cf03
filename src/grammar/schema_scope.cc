#include "grammar/schema_scope.h"

#include <algorithm>
#include <array>

namespace millrace::grammar {
namespace {

constexpr std::array<std::string_view, 18> kSchemaKeywords = {"items",
                                                              "additionalItems",
                                                              "prefixItems",
                                                              "contains",
                                                              "additionalProperties",
                                                              "propertyNames",
                                                              "not",
                                                              "if",
                                                              "then",
                                                              "else",
                                                              "allOf",
                                                              "anyOf",
                                                              "oneOf",
                                                              "contentSchema",
                                                              "unevaluatedItems",
                                                              "unevaluatedProperties",
                                                              "extends",
                                                              "disallow"};
constexpr std::array<std::string_view, 6> kSchemaMaps = {"properties",  "patternProperties", "$defs",
                                                         "definitions", "dependentSchemas",  "dependencies"};

std::string WithoutFragment(std::string_view uri) {
  return std::string(uri.substr(0, uri.find('#')));
}

// RFC 3986, section 5.2, as far as schemas use it.
std::string ResolveUri(const std::string& base, const std::string& ref) {
  const size_t colon = ref.find(':'), slash = ref.find_first_of("/?#");
  if (colon != std::string::npos && (slash == std::string::npos || colon < slash)) return ref;
  if (ref.empty() || ref[0] == '#') return WithoutFragment(base) + ref;
  const size_t scheme = base.find("://");
  if (ref.starts_with("//")) return (scheme == std::string::npos ? "" : base.substr(0, scheme + 1)) + ref;
  const size_t path = scheme == std::string::npos ? 0 : std::min(base.find('/', scheme + 3), base.size());
  if (ref[0] == '/') return base.substr(0, path) + ref;
  const std::string clean = base.substr(0, base.find_first_of("?#"));
  const size_t last = clean.rfind('/');
  std::string joined = last == std::string::npos || last < path ? clean.substr(0, path) + (path > 0 ? "/" : "")
                                                                : clean.substr(0, last + 1);
  std::string rest = ref;
  while (rest.starts_with("../")) {
    rest = rest.substr(3);
    if (joined.size() > path + 1) joined = joined.substr(0, joined.rfind('/', joined.size() - 2) + 1);
  }
  while (rest.starts_with("./")) rest = rest.substr(2);
  return joined + rest;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  auto hex = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string Unescape(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '0' ? '~' : '/';
    } else {
      out += token[i];
    }
  }
  return out;
}

}  // namespace

SchemaScope::SchemaScope(const JsonValue& root, int draft) : draft_(draft) {
  root_base_ = BaseWithin(root, "");
  resources_[""] = {&root, root_base_, ""};
  resources_[root_base_] = {&root, root_base_, ""};
  Index(root, "", "", 0);
}

std::string SchemaScope::BaseWithin(const JsonValue& schema, const std::string& base) const {
  const JsonValue* id = schema.Find(draft_ == 4 ? "id" : "$id");
  if (id == nullptr || !id->is(JsonValue::kString) || id->text.starts_with("#")) return base;
  if (draft_ <= 7 && schema.Find("$ref") != nullptr) return base;  // siblings of $ref don't count there
  return WithoutFragment(ResolveUri(base, id->text));
}

void SchemaScope::Index(const JsonValue& schema, const std::string& outer, const std::string& pointer, int depth) {
  if (!schema.is(JsonValue::kObject) || depth > 128) return;
  const std::string base = BaseWithin(schema, outer);
  if (base != outer) resources_.try_emplace(base, SchemaPlace{&schema, base, pointer});
  const JsonValue* id = schema.Find(draft_ == 4 ? "id" : "$id");
  if (id != nullptr && id->is(JsonValue::kString) && id->text.starts_with("#") && id->text.size() > 1) {
    resources_.try_emplace(base + id->text, SchemaPlace{&schema, base, pointer});
  }
  for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
    const JsonValue* anchor = schema.Find(keyword);
    if (anchor != nullptr && anchor->is(JsonValue::kString)) {
      resources_.try_emplace(base + "#" + anchor->text, SchemaPlace{&schema, base, pointer});
    }
  }
  IndexChildren(schema, base, pointer, depth);
}

void SchemaScope::IndexChildren(const JsonValue& schema, const std::string& base, const std::string& pointer,
                                int depth) {
  for (const auto& [key, child] : schema.members) {
    const std::string here = pointer + "/" + key;
    if (std::find(kSchemaMaps.begin(), kSchemaMaps.end(), key) != kSchemaMaps.end()) {
      for (const auto& [name, value] : child.members) Index(value, base, here + "/" + name, depth + 1);
    } else if (std::find(kSchemaKeywords.begin(), kSchemaKeywords.end(), key) != kSchemaKeywords.end()) {
      Index(child, base, here, depth + 1);
      for (size_t i = 0; i < child.items.size(); ++i)
        Index(child.items[i], base, here + "/" + std::to_string(i), depth + 1);
    }
  }
}

Result<SchemaPlace> SchemaScope::Resolve(const std::string& ref, const std::string& base) const {
  const std::string uri = ResolveUri(base, ref);
  const size_t hash = uri.find('#');
  const std::string resource = uri.substr(0, hash);
  const std::string fragment = hash == std::string::npos ? "" : PercentDecode(std::string_view(uri).substr(hash + 1));
  if (!fragment.empty() && fragment[0] != '/') {
    const auto anchor = resources_.find(resource + "#" + fragment);
    if (anchor == resources_.end()) return Unsupported("$ref to \"{}\", which this document doesn't define", ref);
    return anchor->second;
  }
  const auto it = resources_.find(resource);
  if (it == resources_.end()) return Unsupported("$ref to \"{}\", which is outside this document", ref);
  SchemaPlace place = it->second;
  for (size_t i = 0; i < fragment.size();) {
    const size_t end = std::min(fragment.find('/', i + 1), fragment.size());
    const std::string token = Unescape(std::string_view(fragment).substr(i + 1, end - i - 1));
    if (i > 0) place.base = BaseWithin(*place.value, place.base);
    const JsonValue* next = place.value->Find(token);
    if (next == nullptr && place.value->is(JsonValue::kArray) && !token.empty() && token.size() < 7 &&
        token.find_first_not_of("0123456789") == std::string::npos) {
      const size_t index = std::stoul(token);
      if (index < place.value->items.size()) next = &place.value->items[index];
    }
    if (next == nullptr) return InvalidArgument("$ref to \"{}\", which doesn't exist", ref);
    place.value = next;
    place.pointer += "/" + token;
    i = end;
  }
  return place;
}

}  // namespace millrace::grammar
