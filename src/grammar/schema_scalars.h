// The scalar part of a schema: which of null, false and true, which strings and which numbers it allows. All three are
// closed under and, or and not, so every applicator is exact here.
#pragma once

#include <map>
#include <set>

#include "grammar/schema_node.h"

namespace millrace::grammar {

// A subschema or its negation.
struct Literal {
  NodeId node = 0;
  bool negated = false;
  auto operator<=>(const Literal&) const = default;
  Literal operator!() const { return {node, !negated}; }
};

// A set of strings: those of an automaton (null: all) with min to max characters. With an automaton min is 0, and there
// is a word of at most max characters unless it is empty.
struct StringLanguage {
  DfaPtr dfa;
  uint32_t min = 0;
  uint32_t max = kNoLimit;
  bool empty() const { return dfa ? dfa->empty() : min > max; }
  bool all() const { return !dfa && min == 0 && max == kNoLimit; }
};

class SchemaScalars {
 public:
  SchemaScalars(const SchemaDocument& doc, Budget& budget) : doc_(doc), budget_(budget) {}

  // Bits: 1 null, 2 false, 4 true.
  Result<uint8_t> Words(Literal literal);
  Result<StringLanguage> Strings(Literal literal);
  // dfa is null for every number.
  Result<NumberLanguage> Numbers(Literal literal);

  Result<StringLanguage> And(const StringLanguage& a, const StringLanguage& b);
  Result<NumberLanguage> And(const NumberLanguage& a, const NumberLanguage& b);
  Result<DfaPtr> Automaton(const StringLanguage& a);
  Result<DfaPtr> Automaton(const NumberLanguage& a);

 private:
  template <typename T>
  Result<T> Combine(NodeId node, std::map<NodeId, T>& memo, T own);
  Result<uint8_t> OwnWords(const SchemaNode& node);
  Result<StringLanguage> OwnStrings(const SchemaNode& node);
  Result<NumberLanguage> OwnNumbers(const SchemaNode& node);

  Result<uint8_t> And(uint8_t a, uint8_t b) { return static_cast<uint8_t>(a & b); }
  Result<uint8_t> Or(uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); }
  Result<uint8_t> Not(uint8_t a) { return static_cast<uint8_t>(7 & ~a); }
  Result<StringLanguage> Or(const StringLanguage& a, const StringLanguage& b);
  // The words of dfa with at most max characters.
  Result<StringLanguage> UpTo(DfaPtr dfa, uint32_t max);
  Result<StringLanguage> Not(const StringLanguage& a);
  Result<NumberLanguage> Or(const NumberLanguage& a, const NumberLanguage& b);
  Result<NumberLanguage> Not(const NumberLanguage& a);

  Result<uint8_t> Get(Literal literal, const uint8_t*) { return Words(literal); }
  Result<StringLanguage> Get(Literal literal, const StringLanguage*) { return Strings(literal); }
  Result<NumberLanguage> Get(Literal literal, const NumberLanguage*) { return Numbers(literal); }

  const SchemaDocument& doc_;
  Budget& budget_;
  std::map<NodeId, uint8_t> words_;
  std::map<NodeId, StringLanguage> strings_, not_strings_;
  std::map<NodeId, NumberLanguage> numbers_, not_numbers_;
  std::map<std::string, NumberLanguage> limits_;
  std::set<NodeId> open_;  // nodes being evaluated: meeting one again is a reference to itself
};

}  // namespace millrace::grammar
