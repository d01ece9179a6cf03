// ProgramBuilder: assembles a Program, one rule at a time. Front ends give it expressions; the JSON Schema front end
// also adds objects, arrays and sets.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grammar/expr.h"
#include "grammar/program.h"

namespace millrace::grammar {

// Where white space may stand in JSON that a grammar describes.
enum class JsonWhitespace {
  kCompact,   // nowhere
  kSpaced,    // at most one space after ',' and ':'
  kFlexible,  // up to max_whitespace of space, tab, CR, LF between any two tokens
};

struct JsonStyle {
  JsonWhitespace whitespace = JsonWhitespace::kSpaced;
  int max_whitespace = 64;  // bound of one run under kFlexible
};

class ProgramBuilder {
 public:
  ProgramBuilder(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  Program& program() { return program_; }
  Budget& budget() { return budget_; }
  const JsonStyle& style() const { return style_; }

  uint32_t AddState(bool accept = false);
  // Edges are collected per state and laid out by Finish.
  void AddEdge(uint32_t from, EdgeKind kind, uint32_t arg, uint32_t to);
  uint32_t AddTerminal(Terminal terminal);
  uint32_t AddRule();  // with an empty start state
  uint32_t StartOf(uint32_t rule) const { return program_.rules[rule]; }
  // Terminal of a fixed text.
  Result<uint32_t> AddLiteral(std::u32string_view text);
  // Makes the frames of objects, arrays and sets, once; call before adding any of them.
  Status AddJsonFrames();
  void AddRepeatFrame();

  // Lays out edges. The builder is then empty.
  Program Finish();

 private:
  Result<uint32_t> Punctuation(std::u32string_view before, char32_t c, std::u32string_view after);

  const JsonStyle style_;
  Budget& budget_;
  Program program_;
  std::vector<std::vector<Edge>> edges_;  // per state
  std::map<std::u32string, uint32_t> literals_;
};

// Adds every rule of the set and returns its root. Regular parts become automata; rules that can match
// nothing are pruned; left recursion is fine. kInvalidArgument when the root matches nothing at all.
Result<uint32_t> AddRuleSet(RuleSet rules, ProgramBuilder& builder);

}  // namespace millrace::grammar
