// The keywords of one schema that speak of objects and arrays, and their negations.
#include <algorithm>
#include <utility>

#include "grammar/schema_shapes.h"

namespace millrace::grammar {
namespace {

KeySet Name(std::u32string name) {
  return {.kind = KeySet::kName, .name = std::move(name)};
}
KeySet Pattern(DfaPtr dfa) {
  return {.kind = KeySet::kPattern, .dfa = std::move(dfa)};
}
KeySet Outside(DfaPtr dfa) {
  return {.kind = KeySet::kOutside, .dfa = std::move(dfa)};
}

ObjectShape Forbid(const std::u32string& name) {
  ObjectShape shape;
  shape.rules.push_back({.keys = Name(name), .forbidden = true});
  return shape;
}

ObjectShape Require(const std::u32string& name) {
  ObjectShape shape;
  shape.required.insert(name);
  return shape;
}

}  // namespace

Result<DfaPtr> SchemaShapes::NamesLanguage(const SchemaNode& node) {
  ASSIGN_OR_RETURN(StringLanguage names, scalars_.Strings({node.property_names}));
  return scalars_.Automaton(names);
}

Result<std::vector<ObjectShape>> SchemaShapes::Own(const SchemaNode& node, const ObjectShape*) {
  Shapes<ObjectShape> out;
  if (node.never || !(node.types & kTypeObject)) return out;
  ObjectShape own;
  const NodeId id = static_cast<NodeId>(&node - doc_.nodes.data());
  for (const auto& [name, value] : node.properties) own.rules.push_back({.keys = Name(name), .value = {value}});
  for (const auto& [dfa, value] : node.pattern_properties)
    own.rules.push_back({.keys = Pattern(dfa), .value = {value}});
  if (node.additional_properties != kNoNode) {
    const bool never = doc_.nodes[node.additional_properties].never;
    own.rules.push_back(
        {.keys = {.kind = KeySet::kOther, .node = id}, .forbidden = never, .value = {node.additional_properties}});
  }
  if (node.property_names != kNoNode) {
    ASSIGN_OR_RETURN(DfaPtr names, NamesLanguage(node));
    own.rules.push_back({.keys = Outside(std::move(names)), .forbidden = true});
  }
  own.required.insert(node.required.begin(), node.required.end());
  own.min = node.min_properties;
  own.max = node.max_properties;
  ObjectShape checked;
  if (!Merge(own, own, checked)) return out;
  out.push_back(std::move(own));
  for (const auto& [name, others] : node.dependent_required) {
    ObjectShape with = Require(name);
    with.required.insert(others.begin(), others.end());
    ASSIGN_OR_RETURN(out, And(out, {Forbid(name), with}));
  }
  for (const auto& [name, schema] : node.dependent_schemas) {
    ASSIGN_OR_RETURN(Shapes<ObjectShape> part, OfOne<ObjectShape>({schema}));
    ASSIGN_OR_RETURN(part, And({Require(name)}, part));
    Or(part, {Forbid(name)});
    ASSIGN_OR_RETURN(out, And(out, part));
  }
  if (node.has_values) {
    Shapes<ObjectShape> listed;
    for (NodeId value : node.composites) {
      ASSIGN_OR_RETURN(Shapes<ObjectShape> one, OfOne<ObjectShape>({value}));
      Or(listed, one);
    }
    ASSIGN_OR_RETURN(out, And(out, listed));
  }
  return out;
}

Result<std::vector<ObjectShape>> SchemaShapes::NotOwn(const SchemaNode& node, const ObjectShape*) {
  if (node.never || !(node.types & kTypeObject)) return Shapes<ObjectShape>(1);
  Shapes<ObjectShape> out;
  const NodeId id = static_cast<NodeId>(&node - doc_.nodes.data());
  for (const auto& [name, value] : node.properties) {
    ObjectShape shape = Require(name);
    shape.rules.push_back({.keys = Name(name), .value = {value, true}});
    out.push_back(std::move(shape));
  }
  auto claim = [&](KeySet keys, bool any_value, Literal value) {
    ObjectShape shape;
    shape.claims.push_back({std::move(keys), any_value, value});
    out.push_back(std::move(shape));
  };
  for (const auto& [dfa, value] : node.pattern_properties) claim(Pattern(dfa), false, {value, true});
  if (node.additional_properties != kNoNode) {
    const bool never = doc_.nodes[node.additional_properties].never;
    claim({.kind = KeySet::kOther, .node = id}, never, {node.additional_properties, true});
  }
  if (node.property_names != kNoNode) {
    ASSIGN_OR_RETURN(DfaPtr names, NamesLanguage(node));
    claim(Outside(std::move(names)), true, {});
  }
  for (const std::u32string& name : node.required) out.push_back(Forbid(name));
  if (node.min_properties > 0) out.push_back({.max = node.min_properties - 1});
  if (node.max_properties != kNoLimit) out.push_back({.min = node.max_properties + 1});
  for (const auto& [name, others] : node.dependent_required) {
    for (const std::u32string& other : others) {
      ObjectShape shape = Forbid(other);
      shape.required.insert(name);
      if (name != other) out.push_back(std::move(shape));
    }
  }
  for (const auto& [name, schema] : node.dependent_schemas) {
    ASSIGN_OR_RETURN(Shapes<ObjectShape> part, OfOne<ObjectShape>({schema, true}));
    ASSIGN_OR_RETURN(part, And({Require(name)}, part));
    Or(out, part);
  }
  if (node.has_values) {
    Shapes<ObjectShape> others(1);
    for (NodeId value : node.composites) {
      ASSIGN_OR_RETURN(Shapes<ObjectShape> part, OfOne<ObjectShape>({value, true}));
      ASSIGN_OR_RETURN(others, And(others, part));
    }
    Or(out, others);
  }
  return out;
}

Result<std::vector<ArrayShape>> SchemaShapes::Own(const SchemaNode& node, const ArrayShape*) {
  Shapes<ArrayShape> out;
  if (node.never || !(node.types & kTypeArray)) return out;
  ArrayShape own{.min = node.min_items, .max = node.max_items, .unique = node.unique_items};
  const uint32_t prefix = static_cast<uint32_t>(node.prefix_items.size());
  for (uint32_t i = 0; i < prefix; ++i) own.rules.push_back({i, i, {node.prefix_items[i]}});
  if (node.items != kNoNode) {
    if (doc_.nodes[node.items].never) {
      own.max = std::min(own.max, prefix);
    } else {
      own.rules.push_back({prefix, kNoLimit, {node.items}});
    }
  }
  if (node.contains != kNoNode && (node.min_contains > 0 || node.max_contains != kNoLimit)) {
    if (node.min_contains > node.max_contains) return out;
    own.claims.push_back({0, {node.contains}, node.min_contains, node.max_contains});
  }
  if (own.min > own.max) return out;
  out.push_back(std::move(own));
  if (node.has_values) {
    Shapes<ArrayShape> listed;
    for (NodeId value : node.composites) {
      ASSIGN_OR_RETURN(Shapes<ArrayShape> one, OfOne<ArrayShape>({value}));
      Or(listed, one);
    }
    ASSIGN_OR_RETURN(out, And(out, listed));
  }
  return out;
}

Result<std::vector<ArrayShape>> SchemaShapes::NotOwn(const SchemaNode& node, const ArrayShape*) {
  if (node.never || !(node.types & kTypeArray)) return Shapes<ArrayShape>(1);
  Shapes<ArrayShape> out;
  const uint32_t prefix = static_cast<uint32_t>(node.prefix_items.size());
  for (uint32_t i = 0; i < prefix; ++i) {
    out.push_back({.rules = {{i, i, {node.prefix_items[i], true}}}, .min = i + 1});
  }
  if (node.items != kNoNode && doc_.nodes[node.items].never) {
    out.push_back({.min = prefix + 1});
  } else if (node.items != kNoNode) {
    out.push_back({.claims = {{prefix, {node.items, true}, 1, kNoLimit}}});
  }
  if (node.contains != kNoNode) {
    if (node.min_contains > 0) out.push_back({.claims = {{0, {node.contains}, 0, node.min_contains - 1}}});
    if (node.max_contains != kNoLimit)
      out.push_back({.claims = {{0, {node.contains}, node.max_contains + 1, kNoLimit}}});
  }
  if (node.min_items > 0) out.push_back({.max = node.min_items - 1});
  if (node.max_items != kNoLimit) out.push_back({.min = node.max_items + 1});
  if (node.unique_items) return Unsupported("{}/uniqueItems: it can't be negated", node.pointer);
  if (node.has_values) {
    Shapes<ArrayShape> others(1);
    for (NodeId value : node.composites) {
      ASSIGN_OR_RETURN(Shapes<ArrayShape> part, OfOne<ArrayShape>({value, true}));
      ASSIGN_OR_RETURN(others, And(others, part));
    }
    Or(out, others);
  }
  return out;
}

}  // namespace millrace::grammar
