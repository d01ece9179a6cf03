// Expr: the intermediate representation that regular expressions, EBNF grammars and the other front ends produce.
// Nodes live in an ExprPool and refer to each other by index. Characters are code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/char_set.h"
#include "grammar/dfa.h"

namespace millrace::grammar {

using ExprId = uint32_t;
inline constexpr int kUnboundedRepeat = -1;

enum class ExprKind : uint8_t {
  kEmpty,     // the empty string
  kNever,     // no string at all
  kChars,     // one character of a set
  kSequence,  // children in order
  kChoice,    // any child
  kRepeat,    // children[0], min to max times
  kRule,      // reference to a rule of the grammar
  kToken,     // exactly one token of the vocabulary, by id (control tokens have no bytes)
  kAtStart,   // regex ^
  kAtEnd,     // regex $
  kDfa,       // a finished automaton
};

struct Expr {
  ExprKind kind = ExprKind::kEmpty;
  CharSet chars;
  std::vector<ExprId> children;
  int min = 0;
  int max = 0;       // kUnboundedRepeat: no limit
  uint32_t arg = 0;  // rule index, or token id
  DfaPtr dfa;
};

class ExprPool {
 public:
  const Expr& operator[](ExprId id) const { return nodes_[id]; }
  size_t size() const { return nodes_.size(); }

  ExprId Empty() { return Add({}); }
  ExprId Never() { return Add({.kind = ExprKind::kNever}); }
  ExprId Chars(CharSet set) { return Add({.kind = ExprKind::kChars, .chars = std::move(set)}); }
  ExprId Literal(std::u32string_view text);
  ExprId Sequence(std::vector<ExprId> children);
  ExprId Choice(std::vector<ExprId> children);
  ExprId Repeat(ExprId child, int min, int max) {
    return Add({.kind = ExprKind::kRepeat, .children = {child}, .min = min, .max = max});
  }
  ExprId Rule(uint32_t rule) { return Add({.kind = ExprKind::kRule, .arg = rule}); }
  ExprId Token(uint32_t token) { return Add({.kind = ExprKind::kToken, .arg = token}); }
  ExprId AtStart() { return Add({.kind = ExprKind::kAtStart}); }
  ExprId AtEnd() { return Add({.kind = ExprKind::kAtEnd}); }
  ExprId Automaton(DfaPtr dfa) { return Add({.kind = ExprKind::kDfa, .dfa = std::move(dfa)}); }

 private:
  ExprId Add(Expr node) {
    nodes_.push_back(std::move(node));
    return static_cast<ExprId>(nodes_.size() - 1);
  }
  std::vector<Expr> nodes_;
};

// A context-free grammar: rules[i] is the body of rule i.
struct RuleSet {
  ExprPool pool;
  std::vector<std::string> names;
  std::vector<ExprId> rules;
  uint32_t root = 0;
};

}  // namespace millrace::grammar
