// The structural part of a schema: which objects and which arrays it allows, as a disjunction of shapes. A shape is a
// conjunction of conditions on all members (rules) and on some member (claims), so that negation stays inside the form:
// not "all are X" is "some is not X".
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "grammar/schema_scalars.h"

namespace millrace::grammar {

// A set of property names.
struct KeySet {
  enum Kind : uint8_t {
    kAll,
    kName,
    kPattern,  // in dfa
    kOutside,  // not in dfa
    kOther,    // neither among the properties nor the patterns of node
  } kind = kAll;
  std::u32string name;
  DfaPtr dfa;
  NodeId node = kNoNode;
  bool operator==(const KeySet&) const = default;
};

struct MemberRule {
  KeySet keys;
  bool forbidden = false;
  Literal value;  // what members with such keys meet, unless forbidden
  bool operator==(const MemberRule&) const = default;
};

struct MemberClaim {
  KeySet keys;
  bool any_value = false;
  Literal value;  // what some member with such a key meets
  bool operator==(const MemberClaim&) const = default;
};

struct ObjectShape {
  std::vector<MemberRule> rules;
  std::set<std::u32string> required;
  std::vector<MemberClaim> claims;
  uint32_t min = 0;
  uint32_t max = kNoLimit;
  bool operator==(const ObjectShape&) const = default;
};

struct ItemRule {
  uint32_t first = 0;
  uint32_t last = kNoLimit;  // inclusive
  Literal value;
  bool operator==(const ItemRule&) const = default;
};

struct ItemClaim {
  uint32_t first = 0;  // items before don't count
  Literal value;
  uint32_t min = 1;
  uint32_t max = kNoLimit;
  bool operator==(const ItemClaim&) const = default;
};

struct ArrayShape {
  std::vector<ItemRule> rules;
  std::vector<ItemClaim> claims;
  uint32_t min = 0;
  uint32_t max = kNoLimit;
  bool unique = false;
  bool operator==(const ArrayShape&) const = default;
};

class SchemaShapes {
 public:
  SchemaShapes(const SchemaDocument& doc, SchemaScalars& scalars, Budget& budget)
      : doc_(doc), scalars_(scalars), budget_(budget) {}

  // The shapes that meet all literals; empty: none. kUnsupported when there are too many.
  template <typename Shape>
  Result<std::vector<Shape>> Of(const std::vector<Literal>& literals);

  bool Matches(const KeySet& keys, const std::u32string& name) const;
  // What the value of a member must meet; false when the member is forbidden.
  bool ValueOf(const ObjectShape& shape, const std::u32string& name, std::vector<Literal>& out) const;
  // True only when no value meets all of them; false may also mean that finding out costs too much.
  bool ObviouslyEmpty(std::vector<Literal> literals);

 private:
  template <typename Shape>
  using Shapes = std::vector<Shape>;
  template <typename Shape>
  Result<Shapes<Shape>> OfOne(Literal literal);
  template <typename Shape>
  Result<Shapes<Shape>> Positive(const SchemaNode& node);
  template <typename Shape>
  Result<Shapes<Shape>> Negative(const SchemaNode& node);
  template <typename Shape>
  Result<Shapes<Shape>> ExactlyOne(const std::vector<NodeId>& list);
  template <typename Shape>
  Result<Shapes<Shape>> NoneOrTwo(const std::vector<NodeId>& list);
  template <typename Shape>
  Result<Shapes<Shape>> And(const Shapes<Shape>& a, const Shapes<Shape>& b);
  template <typename Shape>
  void Or(Shapes<Shape>& a, const Shapes<Shape>& b);

  Result<Shapes<ObjectShape>> Own(const SchemaNode& node, const ObjectShape*);
  Result<Shapes<ArrayShape>> Own(const SchemaNode& node, const ArrayShape*);
  Result<Shapes<ObjectShape>> NotOwn(const SchemaNode& node, const ObjectShape*);
  Result<Shapes<ArrayShape>> NotOwn(const SchemaNode& node, const ArrayShape*);
  Result<DfaPtr> NamesLanguage(const SchemaNode& node);
  // False when the two contradict each other.
  bool Merge(const ObjectShape& a, const ObjectShape& b, ObjectShape& out);
  bool Merge(const ArrayShape& a, const ArrayShape& b, ArrayShape& out);

  std::map<Literal, Shapes<ObjectShape>>& Memo(const ObjectShape*) { return objects_; }
  std::map<Literal, Shapes<ArrayShape>>& Memo(const ArrayShape*) { return arrays_; }

  const SchemaDocument& doc_;
  SchemaScalars& scalars_;
  Budget& budget_;
  std::map<Literal, Shapes<ObjectShape>> objects_;
  std::map<Literal, Shapes<ArrayShape>> arrays_;
  std::map<std::vector<Literal>, bool> empty_;
  std::set<Literal> open_;  // being evaluated
  int depth_ = 0;           // of ObviouslyEmpty
};

}  // namespace millrace::grammar
