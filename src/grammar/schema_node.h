// A JSON Schema as typed nodes: one per distinct subschema, with references resolved to node numbers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grammar/budget.h"
#include "grammar/formats.h"
#include "grammar/json_value.h"
#include "grammar/number_language.h"

namespace millrace::grammar {

using NodeId = uint32_t;
inline constexpr NodeId kNoNode = UINT32_MAX;
inline constexpr uint32_t kNoLimit = UINT32_MAX;

enum SchemaTypes : uint8_t {
  kTypeNull = 1,
  kTypeBool = 2,
  kTypeNumber = 4,
  kTypeString = 8,
  kTypeArray = 16,
  kTypeObject = 32,
  kAllTypes = 63,
};

struct NumberLimit {
  NumberBound bound;
  Decimal limit;
};

struct SchemaNode {
  std::string pointer;  // where it was first seen
  bool never = false;   // the schema false
  uint8_t types = kAllTypes;
  bool integer_only = false;    // numbers must be integers
  bool plain_integers = false;  // ... written without a fraction (draft 4)

  bool has_values = false;                // enum or const
  std::vector<const JsonValue*> scalars;  // of enum and const
  std::vector<NodeId> composites;         // arrays and objects of enum and const, as schemas of exactly that value

  std::vector<NumberLimit> number_limits;
  std::optional<Decimal> multiple_of;

  uint32_t min_length = 0;
  uint32_t max_length = kNoLimit;
  std::vector<DfaPtr> string_languages;  // pattern, format

  std::vector<NodeId> prefix_items;
  NodeId items = kNoNode;  // beyond the prefix
  NodeId contains = kNoNode;
  uint32_t min_contains = 1;
  uint32_t max_contains = kNoLimit;
  uint32_t min_items = 0;
  uint32_t max_items = kNoLimit;
  bool unique_items = false;

  std::vector<std::pair<std::u32string, NodeId>> properties;
  std::vector<std::pair<DfaPtr, NodeId>> pattern_properties;
  NodeId additional_properties = kNoNode;
  NodeId property_names = kNoNode;
  std::vector<std::u32string> required;
  std::vector<std::pair<std::u32string, std::vector<std::u32string>>> dependent_required;
  std::vector<std::pair<std::u32string, NodeId>> dependent_schemas;
  uint32_t min_properties = 0;
  uint32_t max_properties = kNoLimit;

  std::vector<NodeId> all_of;  // with the target of $ref
  std::vector<std::vector<NodeId>> any_of;
  std::vector<std::vector<NodeId>> one_of;
  NodeId not_node = kNoNode;
  NodeId if_node = kNoNode, then_node = kNoNode, else_node = kNoNode;

  bool HasArrayKeywords() const {
    return !prefix_items.empty() || items != kNoNode || contains != kNoNode || min_items > 0 || max_items != kNoLimit ||
           unique_items;
  }
};

// The nodes of one document; node 0 is the root. Owns the document.
struct SchemaDocument {
  std::unique_ptr<JsonValue> root;
  std::vector<std::unique_ptr<JsonValue>> made;  // schemas that stand for values of enum and const
  std::vector<SchemaNode> nodes;
};

// Depth, size and number of nodes are bounded. kUnsupported names the keyword and its JSON pointer.
Result<SchemaDocument> ParseSchema(std::string_view text, FormatCache& formats, Budget& budget);

}  // namespace millrace::grammar
