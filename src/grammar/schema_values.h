// Expands a schema into values: each is a conjunction of subschemas or their negations, with its scalars, and objects
// and arrays whose members are other values. Values that nothing meets are found, so that no automaton leads into them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "grammar/schema_shapes.h"

namespace millrace::grammar {

using ValueId = uint32_t;
inline constexpr ValueId kNoValue = UINT32_MAX;

// See ObjectSpec; members lead to values instead of rules.
struct ObjectDraft {
  std::vector<std::u32string> names;               // sorted
  std::vector<uint8_t> required;                   // per name
  std::vector<std::vector<ValueId>> name_values;   // [claims][name]
  std::vector<std::vector<ValueId>> class_values;  // [claims][label]; empty: no other keys
  LabelledDfa keys;                                // of the other keys; without states: any string, one label
  uint32_t num_claims = 0;
  uint32_t min = 0;
  uint32_t max = kNoLimit;
  std::string pointer;
};

struct ArrayDraft {
  std::vector<std::vector<ValueId>> rows;  // [position][combination of contains]
  std::vector<ItemClaim> contains;
  uint32_t min = 0;
  uint32_t max = kNoLimit;
  bool unique = false;
};

struct SchemaValue {
  std::vector<Literal> literals;
  uint8_t words = 0;
  StringLanguage strings;
  NumberLanguage numbers;
  std::vector<ObjectDraft> objects;
  std::vector<ArrayDraft> arrays;
  bool possible = false;
};

class SchemaValues {
 public:
  SchemaValues(const SchemaDocument& doc, Budget& budget)
      : doc_(doc), budget_(budget), scalars_(doc, budget), shapes_(doc, scalars_, budget) {}

  // Value 0 is the root.
  Status Expand();
  const std::vector<SchemaValue>& values() const { return values_; }
  SchemaScalars& scalars() { return scalars_; }
  bool Possible(ValueId id) const { return id != kNoValue && values_[id].possible; }
  // Most items that an array can hold once impossible positions are cut off.
  uint32_t MaxItems(const ArrayDraft& array) const;

 private:
  ValueId Intern(std::vector<Literal> literals);
  Status ExpandValue(ValueId id);
  Result<ObjectDraft> DraftObject(const ObjectShape& shape, const std::string& pointer);
  Status DraftNames(const ObjectShape& shape, ObjectDraft& draft);
  Status DraftOtherKeys(const ObjectShape& shape, ObjectDraft& draft);
  Status MoveFewKeysToNames(ObjectDraft& draft);
  Result<ArrayDraft> DraftArray(const ArrayShape& shape);
  bool IsPossible(const SchemaValue& value) const;
  bool IsPossible(const ObjectDraft& object) const;
  bool IsPossible(const ArrayDraft& array) const;

  const SchemaDocument& doc_;
  Budget& budget_;
  SchemaScalars scalars_;
  SchemaShapes shapes_;
  std::vector<SchemaValue> values_;
  std::map<std::vector<Literal>, ValueId> ids_;
};

}  // namespace millrace::grammar
