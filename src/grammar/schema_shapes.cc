#include "grammar/schema_shapes.h"

#include <algorithm>
#include <utility>

namespace millrace::grammar {
namespace {

constexpr size_t kMaxShapes = 1000;
constexpr int kMaxEmptyDepth = 6;
constexpr size_t kMaxShapeDepth = 200;

// What copying or comparing a shape costs, in steps.
template <typename Shape>
uint64_t SizeOf(const Shape& shape) {
  return 16 + 16 * (shape.rules.size() + shape.claims.size());
}

template <typename T>
void AddOnce(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

}  // namespace

template <typename Shape>
void SchemaShapes::Or(Shapes<Shape>& a, const Shapes<Shape>& b) {
  for (const Shape& shape : b) {
    budget_.Spend(SizeOf(shape) + 4 * a.size());
    AddOnce(a, shape);
  }
  // A shape without conditions makes the others redundant.
  if (std::find(a.begin(), a.end(), Shape{}) != a.end()) a.assign(1, Shape{});
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::And(const Shapes<Shape>& a, const Shapes<Shape>& b) {
  Shapes<Shape> out;
  for (const Shape& x : a) {
    for (const Shape& y : b) {
      Shape merged;
      budget_.Spend(SizeOf(x) + SizeOf(y) + 2 * x.rules.size() * y.rules.size());
      if (budget_.exceeded()) return budget_.Error();
      if (!Merge(x, y, merged)) continue;
      if (!budget_.Charge(sizeof(Shape) + (merged.rules.size() + merged.claims.size()) * 64)) return budget_.Error();
      Or(out, {std::move(merged)});
      if (out.size() > kMaxShapes) return Unsupported("more than {} alternatives in one value", kMaxShapes);
    }
  }
  return out;
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::Of(const std::vector<Literal>& literals) {
  Shapes<Shape> out(1);
  for (const Literal& literal : literals) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>(literal));
    ASSIGN_OR_RETURN(out, And(out, part));
  }
  return out;
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::OfOne(Literal literal) {
  auto& memo = Memo(static_cast<const Shape*>(nullptr));
  if (auto it = memo.find(literal); it != memo.end()) {
    for (const Shape& shape : it->second) budget_.Spend(SizeOf(shape));
    return it->second;
  }
  const SchemaNode& node = doc_.nodes[literal.node];
  if (open_.size() > kMaxShapeDepth || !open_.insert(literal).second) {
    return Unsupported("{}: a reference leads back to itself without entering a property or an item", node.pointer);
  }
  auto shapes = literal.negated ? Negative<Shape>(node) : Positive<Shape>(node);
  open_.erase(literal);
  if (!shapes.ok()) {
    const bool named = shapes.status().message().starts_with("/");
    return named ? shapes.status() : shapes.status().WithPrefix(node.pointer.empty() ? "the schema" : node.pointer);
  }
  return memo[literal] = *std::move(shapes);
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::Positive(const SchemaNode& node) {
  ASSIGN_OR_RETURN(Shapes<Shape> out, Own(node, static_cast<const Shape*>(nullptr)));
  if (out.empty()) return out;
  for (NodeId child : node.all_of) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({child}));
    ASSIGN_OR_RETURN(out, And(out, part));
  }
  for (const auto& list : node.any_of) {
    Shapes<Shape> any;
    for (NodeId child : list) {
      ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({child}));
      Or(any, part);
    }
    ASSIGN_OR_RETURN(out, And(out, any));
  }
  for (const auto& list : node.one_of) {
    ASSIGN_OR_RETURN(Shapes<Shape> one, ExactlyOne<Shape>(list));
    ASSIGN_OR_RETURN(out, And(out, one));
  }
  if (node.not_node != kNoNode) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({node.not_node, true}));
    ASSIGN_OR_RETURN(out, And(out, part));
  }
  if (node.if_node != kNoNode) {
    ASSIGN_OR_RETURN(Shapes<Shape> yes, OfOne<Shape>({node.if_node}));
    ASSIGN_OR_RETURN(Shapes<Shape> no, OfOne<Shape>({node.if_node, true}));
    if (node.then_node != kNoNode) {
      ASSIGN_OR_RETURN(Shapes<Shape> then, OfOne<Shape>({node.then_node}));
      ASSIGN_OR_RETURN(yes, And(yes, then));
    }
    if (node.else_node != kNoNode) {
      ASSIGN_OR_RETURN(Shapes<Shape> otherwise, OfOne<Shape>({node.else_node}));
      ASSIGN_OR_RETURN(no, And(no, otherwise));
    }
    Or(yes, no);
    ASSIGN_OR_RETURN(out, And(out, yes));
  }
  return out;
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::Negative(const SchemaNode& node) {
  ASSIGN_OR_RETURN(Shapes<Shape> out, NotOwn(node, static_cast<const Shape*>(nullptr)));
  auto done = [&] { return out.size() == 1 && out[0] == Shape{}; };
  for (size_t i = 0; i < node.all_of.size() && !done(); ++i) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({node.all_of[i], true}));
    Or(out, part);
  }
  for (size_t i = 0; i < node.any_of.size() && !done(); ++i) {
    Shapes<Shape> none(1);
    for (NodeId child : node.any_of[i]) {
      ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({child, true}));
      ASSIGN_OR_RETURN(none, And(none, part));
    }
    Or(out, none);
  }
  for (size_t i = 0; i < node.one_of.size() && !done(); ++i) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, NoneOrTwo<Shape>(node.one_of[i]));
    Or(out, part);
  }
  if (node.not_node != kNoNode && !done()) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({node.not_node}));
    Or(out, part);
  }
  if (node.if_node != kNoNode && !done()) {
    for (const bool met : {true, false}) {
      const NodeId branch = met ? node.then_node : node.else_node;
      if (branch == kNoNode) continue;
      ASSIGN_OR_RETURN(Shapes<Shape> condition, OfOne<Shape>({node.if_node, !met}));
      ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({branch, true}));
      ASSIGN_OR_RETURN(part, And(condition, part));
      Or(out, part);
    }
  }
  return out;
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::ExactlyOne(const std::vector<NodeId>& list) {
  Shapes<Shape> out;
  for (size_t i = 0; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(Shapes<Shape> only, OfOne<Shape>({list[i]}));
    for (size_t j = 0; j < list.size() && !only.empty(); ++j) {
      if (j == i) continue;
      // Most alternatives exclude each other; then "and not the other one" says nothing.
      ASSIGN_OR_RETURN(Shapes<Shape> other, OfOne<Shape>({list[j]}));
      ASSIGN_OR_RETURN(Shapes<Shape> both, And(only, other));
      if (both.empty()) continue;
      ASSIGN_OR_RETURN(Shapes<Shape> without, OfOne<Shape>({list[j], true}));
      ASSIGN_OR_RETURN(only, And(only, without));
    }
    Or(out, only);
  }
  return out;
}

template <typename Shape>
Result<std::vector<Shape>> SchemaShapes::NoneOrTwo(const std::vector<NodeId>& list) {
  Shapes<Shape> out(1);
  for (NodeId child : list) {
    ASSIGN_OR_RETURN(Shapes<Shape> part, OfOne<Shape>({child, true}));
    ASSIGN_OR_RETURN(out, And(out, part));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    for (size_t j = i + 1; j < list.size(); ++j) {
      ASSIGN_OR_RETURN(Shapes<Shape> a, OfOne<Shape>({list[i]}));
      ASSIGN_OR_RETURN(Shapes<Shape> b, OfOne<Shape>({list[j]}));
      ASSIGN_OR_RETURN(Shapes<Shape> both, And(a, b));
      Or(out, both);
      if (out.size() > kMaxShapes) return Unsupported("more than {} alternatives in one value", kMaxShapes);
    }
  }
  return out;
}

bool SchemaShapes::Matches(const KeySet& keys, const std::u32string& name) const {
  switch (keys.kind) {
    case KeySet::kAll:
      return true;
    case KeySet::kName:
      return keys.name == name;
    case KeySet::kPattern:
      return keys.dfa->Accepts(name);
    case KeySet::kOutside:
      return !keys.dfa->Accepts(name);
    case KeySet::kOther: {
      const SchemaNode& node = doc_.nodes[keys.node];
      budget_.Spend(node.properties.size() + 8 * node.pattern_properties.size());
      for (const auto& [property, id] : node.properties) {
        if (property == name) return false;
      }
      for (const auto& [pattern, id] : node.pattern_properties) {
        if (pattern->Accepts(name)) return false;
      }
      return true;
    }
  }
  return false;
}

bool SchemaShapes::ValueOf(const ObjectShape& shape, const std::u32string& name, std::vector<Literal>& out) const {
  budget_.Spend(4 * shape.rules.size());
  for (const MemberRule& rule : shape.rules) {
    if (!Matches(rule.keys, name)) continue;
    if (rule.forbidden) return false;
    out.push_back(rule.value);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return true;
}

bool SchemaShapes::ObviouslyEmpty(std::vector<Literal> literals) {
  std::sort(literals.begin(), literals.end());
  literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
  for (size_t i = 0; i + 1 < literals.size(); ++i) {
    if (literals[i].node == literals[i + 1].node) return true;
  }
  for (const Literal& l : literals) {
    if (doc_.nodes[l.node].never && !l.negated) return true;
  }
  budget_.Spend(16 + 8 * literals.size());
  if (literals.size() < 2 || depth_ >= kMaxEmptyDepth || budget_.exceeded()) return false;
  auto [it, inserted] = empty_.try_emplace(literals, false);
  if (!inserted) return it->second;
  auto is_empty = [&]() -> Result<bool> {
    uint8_t words = 7;
    StringLanguage strings;
    NumberLanguage numbers{nullptr, true};
    for (const Literal& l : literals) {
      ASSIGN_OR_RETURN(uint8_t w, scalars_.Words(l));
      words &= w;
      ASSIGN_OR_RETURN(StringLanguage s, scalars_.Strings(l));
      ASSIGN_OR_RETURN(strings, scalars_.And(strings, s));
      ASSIGN_OR_RETURN(NumberLanguage n, scalars_.Numbers(l));
      ASSIGN_OR_RETURN(numbers, scalars_.And(numbers, n));
    }
    if (words != 0 || !strings.empty() || numbers.dfa == nullptr || !numbers.dfa->empty()) return false;
    ASSIGN_OR_RETURN(Shapes<ObjectShape> objects, Of<ObjectShape>(literals));
    if (!objects.empty()) return false;
    ASSIGN_OR_RETURN(Shapes<ArrayShape> arrays, Of<ArrayShape>(literals));
    return arrays.empty();
  };
  std::set<Literal> outer = std::exchange(open_, {});  // another value: its references may name the same nodes
  ++depth_;
  const Result<bool> empty = is_empty();
  --depth_;
  open_ = std::move(outer);
  // An error comes up again where the value itself is compiled.
  return empty_[literals] = empty.ok() && *empty;
}

bool SchemaShapes::Merge(const ObjectShape& a, const ObjectShape& b, ObjectShape& out) {
  out = a;
  for (const MemberRule& rule : b.rules) AddOnce(out.rules, rule);
  for (const MemberClaim& claim : b.claims) AddOnce(out.claims, claim);
  out.required.insert(b.required.begin(), b.required.end());
  out.min = std::max(a.min, b.min);
  out.max = std::min(a.max, b.max);
  if (out.min > out.max || out.required.size() > out.max) return false;
  if (a == ObjectShape{} || b == ObjectShape{}) return true;
  for (const std::u32string& name : out.required) {
    std::vector<Literal> value;
    if (!ValueOf(out, name, value) || ObviouslyEmpty(std::move(value))) return false;
  }
  return true;
}

bool SchemaShapes::Merge(const ArrayShape& a, const ArrayShape& b, ArrayShape& out) {
  out = a;
  for (const ItemRule& rule : b.rules) AddOnce(out.rules, rule);
  for (const ItemClaim& claim : b.claims) AddOnce(out.claims, claim);
  out.min = std::max(a.min, b.min);
  out.max = std::min(a.max, b.max);
  out.unique = a.unique || b.unique;
  if (out.min > out.max) return false;
  for (uint32_t i = 0; i < std::min(out.min, 16u); ++i) {
    std::vector<Literal> value;
    for (const ItemRule& rule : out.rules) {
      if (rule.first <= i && i <= rule.last) value.push_back(rule.value);
    }
    if (ObviouslyEmpty(std::move(value))) return false;
  }
  return true;
}

template Result<std::vector<ObjectShape>> SchemaShapes::Of(const std::vector<Literal>&);
template Result<std::vector<ArrayShape>> SchemaShapes::Of(const std::vector<Literal>&);
template Result<std::vector<ObjectShape>> SchemaShapes::OfOne(Literal);
template Result<std::vector<ArrayShape>> SchemaShapes::OfOne(Literal);
template Result<std::vector<ObjectShape>> SchemaShapes::And(const Shapes<ObjectShape>&, const Shapes<ObjectShape>&);
template Result<std::vector<ArrayShape>> SchemaShapes::And(const Shapes<ArrayShape>&, const Shapes<ArrayShape>&);
template void SchemaShapes::Or(Shapes<ObjectShape>&, const Shapes<ObjectShape>&);
template void SchemaShapes::Or(Shapes<ArrayShape>&, const Shapes<ArrayShape>&);

}  // namespace millrace::grammar
