// Emits the values of a schema as rules of a program.
#pragma once

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/program_builder.h"
#include "grammar/schema_values.h"
#include "grammar/vocabulary.h"

namespace millrace::grammar {

class SchemaCompiler {
 public:
  SchemaCompiler(SchemaValues& values, ProgramBuilder& builder) : values_(values), builder_(builder) {}

  // Returns the rule of value 0. kInvalidArgument when nothing meets the schema.
  Result<uint32_t> Run();

 private:
  uint32_t RuleOf(ValueId id);  // kNoRule for an impossible value
  std::vector<uint32_t> RulesOf(const std::vector<ValueId>& ids);
  Status Emit(ValueId id, uint32_t rule);
  Status EmitScalars(const SchemaValue& value, uint32_t from, uint32_t to);
  Result<uint32_t> StringTerminal(const StringLanguage& strings);
  Result<uint32_t> NumberTerminal(const NumberLanguage& numbers);
  Result<uint32_t> WordsTerminal(uint8_t words);
  Status EmitObject(const ObjectDraft& draft, uint32_t from, uint32_t to);
  Status AddKeyTerminal(const ObjectDraft& draft, ObjectSpec& spec);
  Status EmitArray(const ArrayDraft& draft, uint32_t from, uint32_t to);
  Status EmitSet(const ArrayDraft& draft, uint32_t from, uint32_t to);
  Result<bool> EmitValueSet(const SchemaValue& item, const ArrayDraft& draft, uint32_t from, uint32_t to);
  Status EmitStringSet(const SchemaValue& item, const ArrayDraft& draft, uint32_t from, uint32_t to);
  void EmitObjectSpec(ObjectSpec spec, EdgeKind kind, uint32_t from, uint32_t to);

  SchemaValues& values_;
  ProgramBuilder& builder_;
  std::map<ValueId, uint32_t> rules_;
  std::vector<std::pair<ValueId, uint32_t>> pending_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> counted_terminals_;
  std::map<const Dfa*, uint32_t> number_terminals_;
  std::map<std::pair<const Dfa*, uint32_t>, uint32_t> string_terminals_;
  std::map<uint8_t, uint32_t> words_terminals_;
};

// Adds a schema to a program; returns its rule.
Result<uint32_t> AddJsonSchema(std::string_view schema, const GrammarVocabulary& vocabulary, ProgramBuilder& builder);
// The strings that a schema allows, as characters.
Result<DfaPtr> CompileSchemaStrings(std::string_view schema, const GrammarVocabulary& vocabulary, Budget& budget);

}  // namespace millrace::grammar
