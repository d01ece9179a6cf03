#include "grammar/schema_values.h"

#include <algorithm>
#include <utility>

#include "grammar/frames.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxValues = 40'000;
constexpr uint32_t kMaxClaims = 4;
constexpr uint32_t kMaxContains = 3;
constexpr size_t kMaxEnumeratedKeys = 4096;

// Which keys with the given acceptance by the listed automata a set holds; names are excluded before.
bool MatchesLabel(const KeySet& keys, const SchemaDocument& doc, const std::vector<DfaPtr>& automata,
                  const std::vector<uint8_t>& accepts) {
  auto accepted = [&](const DfaPtr& dfa) {
    const auto it = std::find(automata.begin(), automata.end(), dfa);
    return it != automata.end() && accepts[static_cast<size_t>(it - automata.begin())] != 0;
  };
  switch (keys.kind) {
    case KeySet::kAll:
      return true;
    case KeySet::kName:
      return false;
    case KeySet::kPattern:
      return accepted(keys.dfa);
    case KeySet::kOutside:
      return !accepted(keys.dfa);
    case KeySet::kOther: {
      const auto& patterns = doc.nodes[keys.node].pattern_properties;
      return std::none_of(patterns.begin(), patterns.end(), [&](const auto& p) { return accepted(p.first); });
    }
  }
  return false;
}

}  // namespace

Status SchemaValues::Expand() {
  Intern({{0, false}});
  for (ValueId id = 0; id < values_.size(); ++id) {
    RETURN_IF_ERROR(ExpandValue(id));
    if (values_.size() > kMaxValues || !budget_.Charge(sizeof(SchemaValue))) return budget_.Error();
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = values_.size(); i-- > 0 && !budget_.exceeded();) {
      if (values_[i].possible || !IsPossible(values_[i])) continue;
      values_[i].possible = true;
      changed = true;
    }
    if (!budget_.Charge(0)) return budget_.Error();
  }
  return OkStatus();
}

ValueId SchemaValues::Intern(std::vector<Literal> literals) {
  budget_.Spend(32 + 8 * literals.size());
  std::sort(literals.begin(), literals.end());
  literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
  auto [it, inserted] = ids_.try_emplace(literals, static_cast<ValueId>(values_.size()));
  if (inserted) values_.push_back({.literals = std::move(literals)});
  return it->second;
}

Status SchemaValues::ExpandValue(ValueId id) {
  const std::vector<Literal> literals = values_[id].literals;
  SchemaValue value{.literals = literals, .words = 7, .numbers = {nullptr, true}};
  for (const Literal& l : literals) {
    ASSIGN_OR_RETURN(uint8_t words, scalars_.Words(l));
    value.words &= words;
    ASSIGN_OR_RETURN(StringLanguage strings, scalars_.Strings(l));
    ASSIGN_OR_RETURN(value.strings, scalars_.And(value.strings, strings));
    ASSIGN_OR_RETURN(NumberLanguage numbers, scalars_.Numbers(l));
    ASSIGN_OR_RETURN(value.numbers, scalars_.And(value.numbers, numbers));
  }
  const std::string pointer = literals.empty() ? "" : doc_.nodes[literals[0].node].pointer;
  auto named = [&](const Status& status) {
    return status.message().starts_with("/") ? status : status.WithPrefix(pointer + "/");
  };
  auto objects = shapes_.Of<ObjectShape>(literals);
  if (!objects.ok()) return named(objects.status());
  for (const ObjectShape& shape : *objects) {
    auto draft = DraftObject(shape, pointer);
    if (!draft.ok()) return named(draft.status());
    value.objects.push_back(*std::move(draft));
  }
  auto arrays = shapes_.Of<ArrayShape>(literals);
  if (!arrays.ok()) return named(arrays.status());
  for (const ArrayShape& shape : *arrays) {
    auto draft = DraftArray(shape);
    if (!draft.ok()) return named(draft.status());
    value.arrays.push_back(*std::move(draft));
  }
  values_[id] = std::move(value);
  return OkStatus();
}

Result<ObjectDraft> SchemaValues::DraftObject(const ObjectShape& shape, const std::string& pointer) {
  ObjectDraft draft{
      .num_claims = static_cast<uint32_t>(shape.claims.size()), .min = shape.min, .max = shape.max, .pointer = pointer};
  if (draft.num_claims > kMaxClaims)
    return Unsupported("more than {} \"some property is ...\" conditions in one object", kMaxClaims);
  if (draft.num_claims > 0 && shape.max != kNoLimit) {
    return Unsupported("maxProperties together with a condition that some property must meet");
  }
  std::set<std::u32string> names = shape.required;
  auto collect = [&](const KeySet& keys) {
    if (keys.kind == KeySet::kName) names.insert(keys.name);
    if (keys.kind != KeySet::kOther) return;
    for (const auto& [name, id] : doc_.nodes[keys.node].properties) names.insert(name);
  };
  for (const MemberRule& rule : shape.rules) collect(rule.keys);
  for (const MemberClaim& claim : shape.claims) collect(claim.keys);
  draft.names.assign(names.begin(), names.end());
  RETURN_IF_ERROR(DraftOtherKeys(shape, draft));
  RETURN_IF_ERROR(MoveFewKeysToNames(draft));
  RETURN_IF_ERROR(DraftNames(shape, draft));
  return draft;
}

Status SchemaValues::DraftNames(const ObjectShape& shape, ObjectDraft& draft) {
  draft.name_values.resize(size_t{1} << draft.num_claims);
  for (const std::u32string& name : draft.names) {
    draft.required.push_back(shape.required.contains(name));
    std::vector<Literal> value;
    const bool allowed = shapes_.ValueOf(shape, name, value) && !shapes_.ObviouslyEmpty(value);
    for (uint32_t claims = 0; claims < draft.name_values.size(); ++claims) {
      std::vector<Literal> with = value;
      bool possible = allowed;
      for (uint32_t i = 0; i < draft.num_claims; ++i) {
        if (!((claims >> i) & 1)) continue;
        possible = possible && shapes_.Matches(shape.claims[i].keys, name);
        if (!shape.claims[i].any_value) with.push_back(shape.claims[i].value);
      }
      draft.name_values[claims].push_back(possible ? Intern(std::move(with)) : kNoValue);
    }
  }
  return OkStatus();
}

Status SchemaValues::DraftOtherKeys(const ObjectShape& shape, ObjectDraft& draft) {
  std::vector<DfaPtr> automata;
  auto collect = [&](const KeySet& keys) {
    if (keys.dfa != nullptr && std::find(automata.begin(), automata.end(), keys.dfa) == automata.end()) {
      automata.push_back(keys.dfa);
    }
    if (keys.kind != KeySet::kOther) return;
    for (const auto& [dfa, id] : doc_.nodes[keys.node].pattern_properties) {
      if (std::find(automata.begin(), automata.end(), dfa) == automata.end()) automata.push_back(dfa);
    }
  };
  for (const MemberRule& rule : shape.rules) collect(rule.keys);
  for (const MemberClaim& claim : shape.claims) collect(claim.keys);
  std::vector<std::vector<uint8_t>> labels = {{}};
  if (!automata.empty()) {
    ASSIGN_OR_RETURN(draft.keys, RunTogether(automata, budget_));
    labels = draft.keys.labels;
  }
  draft.class_values.assign(size_t{1} << draft.num_claims, {});
  bool any = false;
  for (const auto& accepts : labels) {
    std::vector<Literal> value;
    bool allowed = true;
    budget_.Spend((shape.rules.size() + shape.claims.size()) * (4 + automata.size()));
    for (const MemberRule& rule : shape.rules) {
      if (!MatchesLabel(rule.keys, doc_, automata, accepts)) continue;
      allowed = allowed && !rule.forbidden;
      value.push_back(rule.value);
    }
    allowed = allowed && !shapes_.ObviouslyEmpty(value);
    any |= allowed;
    for (uint32_t claims = 0; claims < draft.class_values.size(); ++claims) {
      std::vector<Literal> with = value;
      bool possible = allowed;
      for (uint32_t i = 0; i < draft.num_claims; ++i) {
        if (!((claims >> i) & 1)) continue;
        possible = possible && MatchesLabel(shape.claims[i].keys, doc_, automata, accepts);
        if (!shape.claims[i].any_value) with.push_back(shape.claims[i].value);
      }
      draft.class_values[claims].push_back(possible ? Intern(std::move(with)) : kNoValue);
    }
  }
  if (!any) draft.class_values.clear();
  return OkStatus();
}

// A pattern that only few keys match is the same as these keys written out, which then can't run out unnoticed.
Status SchemaValues::MoveFewKeysToNames(ObjectDraft& draft) {
  if (draft.class_values.empty() || draft.keys.dfa.empty()) return OkStatus();
  Dfa allowed = draft.keys.dfa;
  for (uint32_t s = 0; s < allowed.num_states(); ++s) {
    allowed.accepting[s] = draft.class_values[0][draft.keys.label_of[s]] != kNoValue;
  }
  const auto words = EnumerateWords(TrimAndMinimize(std::move(allowed), budget_), kMaxEnumeratedKeys, budget_);
  if (!words.has_value()) return OkStatus();
  std::set<std::u32string> names(draft.names.begin(), draft.names.end());
  names.insert(words->begin(), words->end());
  draft.names.assign(names.begin(), names.end());
  draft.class_values.clear();
  return OkStatus();
}

Result<ArrayDraft> SchemaValues::DraftArray(const ArrayShape& shape) {
  ArrayDraft draft{.contains = shape.claims, .min = shape.min, .max = shape.max, .unique = shape.unique};
  if (draft.contains.size() > kMaxContains)
    return Unsupported("more than {} contains conditions in one array", kMaxContains);
  if (!draft.contains.empty() && draft.min > 1000) return Unsupported("contains together with minItems above 1000");
  uint32_t num_rows = 1;
  for (const ItemRule& rule : shape.rules) {
    num_rows = std::max(num_rows, (rule.last == kNoLimit ? rule.first : rule.last + 1) + 1);
  }
  for (const ItemClaim& claim : shape.claims) {
    num_rows = std::max(num_rows, claim.first + 1);
    if (claim.min > 1000 || (claim.max != kNoLimit && claim.max > 1000))
      return Unsupported("minContains or maxContains above 1000");
  }
  for (uint32_t i = 0; i < num_rows; ++i) {
    std::vector<ValueId> row;
    for (uint32_t combination = 0; combination < (1u << draft.contains.size()); ++combination) {
      std::vector<Literal> value;
      bool possible = true;
      for (const ItemRule& rule : shape.rules) {
        if (rule.first <= i && i <= rule.last) value.push_back(rule.value);
      }
      for (size_t c = 0; c < draft.contains.size(); ++c) {
        const ItemClaim& claim = draft.contains[c];
        if ((combination >> c) & 1) {
          possible = possible && i >= claim.first;
          value.push_back(claim.value);
        } else if (claim.max != kNoLimit && i >= claim.first) {
          value.push_back(!claim.value);  // counted exactly: an item that doesn't count must not meet it
        }
      }
      row.push_back(possible && !shapes_.ObviouslyEmpty(value) ? Intern(std::move(value)) : kNoValue);
    }
    draft.rows.push_back(std::move(row));
  }
  return draft;
}

bool SchemaValues::IsPossible(const SchemaValue& value) const {
  if (value.words != 0 || !value.strings.empty() || value.numbers.dfa == nullptr || !value.numbers.dfa->empty())
    return true;
  return std::any_of(value.objects.begin(), value.objects.end(), [&](const ObjectDraft& o) { return IsPossible(o); }) ||
         std::any_of(value.arrays.begin(), value.arrays.end(), [&](const ArrayDraft& a) { return IsPossible(a); });
}

bool SchemaValues::IsPossible(const ObjectDraft& object) const {
  budget_.Spend(object.names.size() << object.num_claims);
  uint64_t names = 0, required = 0;
  for (size_t n = 0; n < object.names.size(); ++n) {
    const bool possible = Possible(object.name_values[0][n]);
    if (object.required[n] && !possible) return false;
    names += possible;
    required += object.required[n];
  }
  auto possible = [&](ValueId id) { return Possible(id); };
  const bool others = !object.class_values.empty() &&
                      std::any_of(object.class_values[0].begin(), object.class_values[0].end(), possible);
  for (uint32_t i = 0; i < object.num_claims; ++i) {
    const auto& by_name = object.name_values[1u << i];
    bool met = std::any_of(by_name.begin(), by_name.end(), possible);
    if (!object.class_values.empty()) {
      const auto& by_class = object.class_values[1u << i];
      met = met || std::any_of(by_class.begin(), by_class.end(), possible);
    }
    if (!met) return false;
  }
  return required <= object.max && (others || names >= object.min) && object.min <= object.max;
}

uint32_t SchemaValues::MaxItems(const ArrayDraft& array) const {
  for (uint32_t i = 0; i < array.rows.size(); ++i) {
    if (std::none_of(array.rows[i].begin(), array.rows[i].end(), [&](ValueId id) { return Possible(id); })) {
      return std::min(array.max, i);
    }
  }
  return array.max;
}

bool SchemaValues::IsPossible(const ArrayDraft& array) const {
  budget_.Spend(8 + 4 * array.rows.size());
  ArraySpec spec{.min_items = array.min, .max_items = MaxItems(array)};
  if (spec.min_items > spec.max_items) return false;
  for (const auto& row : array.rows) {
    spec.rows.emplace_back();
    for (ValueId id : row) spec.rows.back().push_back(Possible(id) ? 0 : kNoRule);
  }
  for (const ItemClaim& claim : array.contains) spec.contains.push_back({claim.min, claim.max});
  return ArrayCompletable(spec, 0, std::vector<uint32_t>(spec.contains.size(), 0));
}

}  // namespace millrace::grammar
