// Resolves $ref within one document: $id resources, $anchor names and JSON pointers.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "grammar/json_value.h"

namespace millrace::grammar {

// A subschema together with the base URI that its references are relative to.
struct SchemaPlace {
  const JsonValue* value = nullptr;
  std::string base;
  std::string pointer;  // from the document's root, for messages
};

class SchemaScope {
 public:
  // draft: 4, 6, 7, 2019 or 2020.
  SchemaScope(const JsonValue& root, int draft);

  const std::string& root_base() const { return root_base_; }
  // The base inside a schema: its own $id where it has one.
  std::string BaseWithin(const JsonValue& schema, const std::string& base) const;
  // kUnsupported for a reference that leaves the document.
  Result<SchemaPlace> Resolve(const std::string& ref, const std::string& base) const;

 private:
  void Index(const JsonValue& schema, const std::string& base, const std::string& pointer, int depth);
  void IndexChildren(const JsonValue& schema, const std::string& base, const std::string& pointer, int depth);

  const int draft_;
  std::string root_base_;
  std::map<std::string, SchemaPlace> resources_;  // absolute URI, and URI#anchor
};

}  // namespace millrace::grammar
