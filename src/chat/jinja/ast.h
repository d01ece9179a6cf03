// Syntax tree of a template: built once by the parser, immutable and shared by every render.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

namespace millrace::jinja {

// An interned identifier; equal names of one template share the address.
struct Name {
  TextPtr text;
  const Builtin* global = nullptr;  // the function that the name means when no variable has it
};

enum class ExprKind : uint8_t {
  kConst,       // value
  kName,        // name
  kAttrTarget,  // name.attribute, in {% set ns.x = ... %} only
  kList,
  kTuple,
  kDict,  // children: key, value, key, value, ...
  kNot,
  kNegate,
  kPlus,
  kBinary,   // op: one of + - * / % and 'f' for //, 'p' for **
  kConcat,   // a ~ b ~ ...
  kCompare,  // children: first, second, ...; ops between them
  kAnd,
  kOr,
  kCond,       // children: condition, then, else (may be null)
  kAttribute,  // child.attribute
  kItem,       // children: object, key
  kSlice,      // children: object, start, stop, step (each bound may be null)
  kCall,       // children: callee, positional arguments...
  kFilter,     // children: input (null inside a filter block), positional arguments...
  kTest,
};

enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind = ExprKind::kConst;
  char op = 0;
  int line = 0;
  int height = 1;  // levels of nodes below and including this one
  Value value;
  const Name* name = nullptr;
  TextPtr attribute;                 // attribute, filter or test name
  const Builtin* builtin = nullptr;  // the filter or test; null when there is none of that name
  std::vector<ExprPtr> children;
  std::vector<CompareOp> ops;
  std::vector<std::pair<std::string, ExprPtr>> named;  // keyword arguments
  ExprPtr star_args;                                   // *args
  ExprPtr star_kwargs;                                 // **kwargs
};

enum class StmtKind : uint8_t {
  kData,   // expr: constant text
  kPrint,  // expr
  kFor,
  kIf,        // branches, else_body
  kSet,       // target, expr
  kSetBlock,  // target, filter (may be null), body
  kMacro,
  kCall,    // {% call %}: expr is the call, macro its body
  kFilter,  // filter, body
  kWith,    // targets (assignments), body
  kScope,   // {% generation %}, {% block %}: body in a scope of its own
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct MacroDefinition {
  const Name* name = nullptr;  // null for the body of a call block
  std::vector<const Name*> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  // The implicit variables that the body reads, else null.
  const Name* varargs = nullptr;
  const Name* kwargs = nullptr;
  const Name* caller = nullptr;
  Body body;
};

struct Stmt {
  StmtKind kind = StmtKind::kData;
  int line = 0;
  bool recursive = false;
  const Name* loop = nullptr;  // kFor: the interned name "loop"
  ExprPtr target;
  ExprPtr expr;
  ExprPtr test;    // for ... if test
  ExprPtr filter;  // a chain of kFilter nodes whose innermost input is null
  Body body;
  Body else_body;
  std::vector<std::pair<ExprPtr, Body>> branches;
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;  // kWith
  MacroDefinition macro;
};

struct Tree {
  Body body;
  std::deque<Name> names;
  std::unordered_map<std::string_view, const Name*> interned;

  const Name* Find(std::string_view name) const {
    const auto it = interned.find(name);
    return it == interned.end() ? nullptr : it->second;
  }
};

}  // namespace millrace::jinja
