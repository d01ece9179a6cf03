#include "grammar/schema_scalars.h"

#include <algorithm>
#include <utility>

#include "grammar/char_set.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxScalarDepth = 200;
// An automaton and a greatest length become one automaton up to this size; beyond, the length is counted at run time.
constexpr uint64_t kMaxUnrolledStates = 2'000;

StringLanguage NoStrings() {
  return {.min = 1, .max = 0};
}
NumberLanguage NoNumbers() {
  return {std::make_shared<const Dfa>(), true};
}

}  // namespace

// own, and all applicators of the node that apply to the same value.
template <typename T>
Result<T> SchemaScalars::Combine(NodeId id, std::map<NodeId, T>& memo, T own) {
  const SchemaNode& node = doc_.nodes[id];
  T value = std::move(own);
  const T* tag = nullptr;
  if (open_.size() > kMaxScalarDepth || !open_.insert(id).second) {
    return Unsupported("{}: a reference leads back to itself without entering a property or an item", node.pointer);
  }
  for (NodeId child : node.all_of) {
    ASSIGN_OR_RETURN(T part, Get({child}, tag));
    ASSIGN_OR_RETURN(value, And(value, part));
  }
  for (const auto& list : node.any_of) {
    ASSIGN_OR_RETURN(T any, Get({list[0]}, tag));
    for (size_t i = 1; i < list.size(); ++i) {
      ASSIGN_OR_RETURN(T part, Get({list[i]}, tag));
      ASSIGN_OR_RETURN(any, Or(any, part));
    }
    ASSIGN_OR_RETURN(value, And(value, any));
  }
  for (const auto& list : node.one_of) {
    // once: met by exactly one of those seen; none: met by none of them.
    ASSIGN_OR_RETURN(T once, Get({list[0]}, tag));
    ASSIGN_OR_RETURN(T none, Get({list[0], true}, tag));
    for (size_t i = 1; i < list.size(); ++i) {
      ASSIGN_OR_RETURN(T part, Get({list[i]}, tag));
      ASSIGN_OR_RETURN(T other, Get({list[i], true}, tag));
      ASSIGN_OR_RETURN(T still, And(once, other));
      ASSIGN_OR_RETURN(T now, And(none, part));
      ASSIGN_OR_RETURN(once, Or(still, now));
      ASSIGN_OR_RETURN(none, And(none, other));
    }
    ASSIGN_OR_RETURN(value, And(value, once));
  }
  if (node.not_node != kNoNode) {
    ASSIGN_OR_RETURN(T part, Get({node.not_node, true}, tag));
    ASSIGN_OR_RETURN(value, And(value, part));
  }
  if (node.if_node != kNoNode) {
    ASSIGN_OR_RETURN(T yes, Get({node.if_node}, tag));
    ASSIGN_OR_RETURN(T no, Get({node.if_node, true}, tag));
    if (node.then_node != kNoNode) {
      ASSIGN_OR_RETURN(T then, Get({node.then_node}, tag));
      ASSIGN_OR_RETURN(yes, And(yes, then));
    }
    if (node.else_node != kNoNode) {
      ASSIGN_OR_RETURN(T otherwise, Get({node.else_node}, tag));
      ASSIGN_OR_RETURN(no, And(no, otherwise));
    }
    ASSIGN_OR_RETURN(T either, Or(yes, no));
    ASSIGN_OR_RETURN(value, And(value, either));
  }
  open_.erase(id);
  if (!budget_.Charge(sizeof(T))) return budget_.Error();
  memo[id] = value;
  return value;
}

Result<uint8_t> SchemaScalars::OwnWords(const SchemaNode& node) {
  uint8_t words = 0;
  if (node.never) return words;
  if (node.types & kTypeNull) words |= 1;
  if (node.types & kTypeBool) words |= 6;
  if (!node.has_values) return words;
  uint8_t listed = 0;
  for (const JsonValue* v : node.scalars) {
    if (v->is(JsonValue::kNull)) listed |= 1;
    if (v->is(JsonValue::kBool)) listed |= v->boolean ? 4 : 2;
  }
  return static_cast<uint8_t>(words & listed);
}

Result<StringLanguage> SchemaScalars::OwnStrings(const SchemaNode& node) {
  if (node.never || !(node.types & kTypeString)) return NoStrings();
  StringLanguage out{.min = node.min_length, .max = node.max_length};
  if (out.empty()) return NoStrings();
  for (const DfaPtr& dfa : node.string_languages) {
    ASSIGN_OR_RETURN(out, And(out, StringLanguage{.dfa = dfa}));
  }
  if (!node.has_values) return out;
  std::vector<std::u32string> texts;
  for (const JsonValue* v : node.scalars) {
    if (!v->is(JsonValue::kString)) continue;
    ASSIGN_OR_RETURN(std::u32string text, DecodeUtf8(v->text));
    texts.push_back(std::move(text));
  }
  if (texts.empty()) return NoStrings();
  ASSIGN_OR_RETURN(DfaPtr listed, StringSetDfa(texts, budget_));
  return And(out, StringLanguage{.dfa = listed});
}

Result<NumberLanguage> SchemaScalars::OwnNumbers(const SchemaNode& node) {
  if (node.never || !(node.types & kTypeNumber)) return NoNumbers();
  NumberLanguage out{nullptr, true};
  auto cached = [&](const std::string& key, auto make) -> Result<NumberLanguage> {
    auto it = limits_.find(key);
    if (it == limits_.end()) {
      ASSIGN_OR_RETURN(NumberLanguage made, make());
      it = limits_.emplace(key, std::move(made)).first;
    }
    return it->second;
  };
  auto key_of = [](const Decimal& d) { return fmt::format("{}{}e{}", d.negative ? "-" : "", d.digits, d.exponent); };
  if (node.integer_only) {
    ASSIGN_OR_RETURN(NumberLanguage integers, cached(node.plain_integers ? "plain" : "integer", [&] {
                       return node.plain_integers ? PlainIntegers(budget_) : IntegerNumbers(budget_);
                     }));
    ASSIGN_OR_RETURN(out, And(out, integers));
  }
  for (const NumberLimit& limit : node.number_limits) {
    ASSIGN_OR_RETURN(NumberLanguage part,
                     cached(fmt::format("{}:{}", static_cast<int>(limit.bound), key_of(limit.limit)),
                            [&] { return BoundedNumbers(limit.bound, limit.limit, budget_); }));
    ASSIGN_OR_RETURN(out, And(out, part));
  }
  if (node.multiple_of) {
    auto part = cached("*" + key_of(*node.multiple_of), [&] { return MultiplesOf(*node.multiple_of, budget_); });
    if (!part.ok()) return part.status().WithPrefix(node.pointer + "/multipleOf");
    ASSIGN_OR_RETURN(out, And(out, *part));
  }
  if (!node.has_values) return out;
  NumberLanguage listed = NoNumbers();
  for (const JsonValue* v : node.scalars) {
    if (!v->is(JsonValue::kNumber)) continue;
    ASSIGN_OR_RETURN(Decimal value, ParseDecimal(v->text));
    ASSIGN_OR_RETURN(NumberLanguage one, cached("=" + key_of(value), [&] { return OneNumber(value, budget_); }));
    ASSIGN_OR_RETURN(listed, Or(listed, one));
  }
  return And(out, listed);
}

Result<uint8_t> SchemaScalars::Words(Literal literal) {
  auto it = words_.find(literal.node);
  if (it == words_.end()) {
    ASSIGN_OR_RETURN(uint8_t own, OwnWords(doc_.nodes[literal.node]));
    RETURN_IF_ERROR(Combine(literal.node, words_, own).status());
    it = words_.find(literal.node);
  }
  return literal.negated ? Not(it->second) : Result<uint8_t>(it->second);
}

Result<StringLanguage> SchemaScalars::Strings(Literal literal) {
  auto it = strings_.find(literal.node);
  if (it == strings_.end()) {
    ASSIGN_OR_RETURN(StringLanguage own, OwnStrings(doc_.nodes[literal.node]));
    RETURN_IF_ERROR(Combine(literal.node, strings_, std::move(own)).status());
    it = strings_.find(literal.node);
  }
  if (!literal.negated) return it->second;
  if (auto known = not_strings_.find(literal.node); known != not_strings_.end()) return known->second;
  ASSIGN_OR_RETURN(StringLanguage negated, Not(it->second));
  return not_strings_[literal.node] = std::move(negated);
}

Result<NumberLanguage> SchemaScalars::Numbers(Literal literal) {
  auto it = numbers_.find(literal.node);
  if (it == numbers_.end()) {
    ASSIGN_OR_RETURN(NumberLanguage own, OwnNumbers(doc_.nodes[literal.node]));
    RETURN_IF_ERROR(Combine(literal.node, numbers_, std::move(own)).status());
    it = numbers_.find(literal.node);
  }
  if (!literal.negated) return it->second;
  if (auto known = not_numbers_.find(literal.node); known != not_numbers_.end()) return known->second;
  ASSIGN_OR_RETURN(NumberLanguage negated, Not(it->second));
  return not_numbers_[literal.node] = std::move(negated);
}

Result<DfaPtr> SchemaScalars::Automaton(const StringLanguage& a) {
  if (a.dfa != nullptr && a.max == kNoLimit) return a.dfa;
  if (a.dfa != nullptr) {
    ASSIGN_OR_RETURN(DfaPtr lengths, LengthDfa(0, int64_t{a.max}, budget_));
    return IntersectDfa(*a.dfa, *lengths, budget_);
  }
  if (a.empty()) return std::make_shared<const Dfa>();
  return LengthDfa(a.min, a.max == kNoLimit ? -1 : int64_t{a.max}, budget_);
}

Result<StringLanguage> SchemaScalars::And(const StringLanguage& a, const StringLanguage& b) {
  if (a.empty() || b.empty()) return NoStrings();
  if (a.all()) return b;
  if (b.all()) return a;
  if (!a.dfa && !b.dfa) {
    StringLanguage out{.min = std::max(a.min, b.min), .max = std::min(a.max, b.max)};
    return out.empty() ? NoStrings() : out;
  }
  if (a.dfa == b.dfa) return a.max <= b.max ? a : b;
  const uint32_t max = std::min(a.max, b.max);
  if (!b.dfa && b.min == 0) return UpTo(a.dfa, max);
  if (!a.dfa && a.min == 0) return UpTo(b.dfa, max);
  ASSIGN_OR_RETURN(DfaPtr x, Automaton(StringLanguage{.dfa = a.dfa, .min = a.min}));
  ASSIGN_OR_RETURN(DfaPtr y, Automaton(StringLanguage{.dfa = b.dfa, .min = b.min}));
  ASSIGN_OR_RETURN(DfaPtr both, IntersectDfa(*x, *y, budget_));
  return UpTo(std::move(both), max);
}

Result<StringLanguage> SchemaScalars::UpTo(DfaPtr dfa, uint32_t max) {
  if (dfa->empty()) return NoStrings();
  if (max == kNoLimit) return StringLanguage{.dfa = std::move(dfa)};
  budget_.Spend(dfa->next.size() * 4);
  if (ShortestWords(*dfa)[0] > max) return NoStrings();
  StringLanguage out{.dfa = std::move(dfa), .max = max};
  if (uint64_t{out.dfa->num_states()} * max > kMaxUnrolledStates) return out;
  ASSIGN_OR_RETURN(DfaPtr bounded, Automaton(out));
  return StringLanguage{.dfa = std::move(bounded)};
}

Result<StringLanguage> SchemaScalars::Or(const StringLanguage& a, const StringLanguage& b) {
  if (a.empty() || b.all()) return b;
  if (b.empty() || a.all()) return a;
  if (a.dfa != nullptr && a.dfa == b.dfa) return a.max >= b.max ? a : b;
  ASSIGN_OR_RETURN(DfaPtr x, Automaton(a));
  ASSIGN_OR_RETURN(DfaPtr y, Automaton(b));
  ASSIGN_OR_RETURN(DfaPtr either, UnionDfa(*x, *y, budget_));
  return StringLanguage{.dfa = std::move(either)};
}

Result<StringLanguage> SchemaScalars::Not(const StringLanguage& a) {
  if (a.empty()) return StringLanguage{};
  if (a.all()) return NoStrings();
  ASSIGN_OR_RETURN(DfaPtr x, Automaton(a));
  ASSIGN_OR_RETURN(DfaPtr rest, SubtractDfa(*AnyStringDfa(), *x, budget_));
  return StringLanguage{.dfa = std::move(rest)};
}

Result<DfaPtr> SchemaScalars::Automaton(const NumberLanguage& a) {
  if (a.dfa != nullptr) return a.dfa;
  ASSIGN_OR_RETURN(NumberLanguage any, AnyNumber(budget_));
  return any.dfa;
}

Result<NumberLanguage> SchemaScalars::And(const NumberLanguage& a, const NumberLanguage& b) {
  if (a.dfa == nullptr) return b;
  if (b.dfa == nullptr || a.dfa == b.dfa) return a;
  return AndNumbers(a, b, budget_);
}

Result<NumberLanguage> SchemaScalars::Or(const NumberLanguage& a, const NumberLanguage& b) {
  if (a.dfa == nullptr || b.dfa == nullptr) return NumberLanguage{nullptr, true};
  if (a.dfa->empty() || a.dfa == b.dfa) return b;
  if (b.dfa->empty()) return a;
  return OrNumbers(a, b, budget_);
}

Result<NumberLanguage> SchemaScalars::Not(const NumberLanguage& a) {
  if (a.dfa == nullptr) return NoNumbers();
  if (a.dfa->empty() && a.exponents) return NumberLanguage{nullptr, true};
  return NotNumbers(a, budget_);
}

}  // namespace millrace::grammar
