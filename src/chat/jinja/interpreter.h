// Interpreter: renders one Tree once. Everything a template can do is bounded: steps, recursion, bytes of text made,
// bytes of output. Single-threaded; one object per render.
#pragma once

#include <cstdint>
#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/value.h"

namespace millrace::jinja {

struct Limits {
  int64_t max_steps = 20'000'000;                  // nodes evaluated, plus one per 64 bytes copied
  int max_depth = 400;                             // nested evaluations: nodes within nodes and macro calls
  size_t max_output_bytes = 64u << 20;             // of the output, and of any one string
  size_t max_allocated_bytes = size_t{512} << 20;  // of all strings and containers made during a render together
  bool allow_mutation =
      true;  // list.append and the like; Hugging Face's sandbox refuses them, published templates need them
  std::optional<std::time_t> now;  // what strftime_now tells; the clock when absent
};

// Variables of one block. A scope that a macro captured stays alive until the render ends.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;
  std::vector<std::pair<const Name*, Value>> variables;
};

// The first error is sticky: it ends the render, and every operation after it does nothing and returns Undefined.
// Functions therefore need no error results of their own; loops check failed().
class Interpreter {
 public:
  Interpreter(const Tree& tree, const Limits& limits) : tree_(tree), limits_(limits), steps_left_(limits.max_steps) {}

  const Limits& limits() const { return limits_; }

  // Renders the template with these variables; call once.
  Result<Text> Run(const std::vector<std::pair<std::string, Value>>& variables);

  bool failed() const { return !status_.ok(); }
  // Records an error at the current line; the code is kInvalidArgument.
  template <typename... Args>
  Value Fail(fmt::format_string<Args...> format, Args&&... args) {
    return FailWith(StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
  }
  Value FailWith(StatusCode code, std::string message);
  // Fails on a use of Undefined that needs a value; the message says what is missing.
  Value FailUndefined(const Value& value);
  // Takes steps; false when they are used up.
  bool Charge(size_t steps);

  // Takes bytes from max_allocated_bytes; false when they are used up.
  bool ChargeBytes(size_t bytes);

  // Values, charged to max_allocated_bytes.
  Value MakeString(Text text);
  Value MakeString(std::string bytes, bool tainted) { return MakeString(Text(std::move(bytes), tainted)); }
  Value MakeList(std::vector<Value> items, Flavor flavor = Flavor::kList);
  DictObject* MakeDict();
  Value MakeFunction(const Builtin& builtin, const Value& self);
  // str(value), as a string value.
  Value ToString(const Value& value);
  // The items of an iteration over value (the keys of a dict, the characters of a string). Iterators are used up by it.
  // False and failed() when the value is not iterable.
  bool Iterate(const Value& value, std::vector<Value>& items);
  bool IsIterable(const Value& value) const;
  // len(value), or nothing and failed().
  std::optional<size_t> Length(const Value& value);

  // Python's operators.
  Value Binary(char op, const Value& a, const Value& b);
  bool Compare(CompareOp op, const Value& a, const Value& b);
  bool Equals(const Value& a, const Value& b);
  bool Contains(const Value& container, const Value& item);
  // Less than for sorting; fails when the types can't be ordered.
  bool Less(const Value& a, const Value& b);

  // object.name and object[key] with Jinja's fallbacks: Undefined when there is neither.
  Value GetAttribute(const Value& object, const TextPtr& name);
  Value GetItem(const Value& object, const Value& key);
  void SetItem(DictObject& dict, const Value& key, Value value);

  Value CallBuiltin(const Builtin& builtin, const Value& self, const Arguments& arguments);
  Value Call(const Value& callee, const Arguments& arguments);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  class DepthGuard;
  class ScopeGuard;

  // Statements (interpreter.cc).
  Flow Execute(const Body& body);
  Flow ExecuteOne(const Stmt& stmt);
  void ExecuteFor(const Stmt& stmt);
  void RunLoop(const Stmt& stmt, const Value& iterable, int depth0);
  void FilterItems(const Stmt& stmt, std::vector<Value>& items);
  Flow ExecuteIf(const Stmt& stmt);
  void ExecuteCallBlock(const Stmt& stmt);
  void ExecuteWith(const Stmt& stmt);
  void Assign(const Expr& target, const Value& value);
  // The text that a body writes.
  Value Capture(const Body& body);
  void Write(const Value& value);
  Value CallMacro(const FunctionObject& function, const Arguments& arguments);
  bool BindMacro(const MacroDefinition& macro, const Arguments& arguments);
  Value CallLoop(LoopObject& loop, const Arguments& arguments);
  Value MakeMacro(const MacroDefinition& macro);
  // Keeps the current scope and those around it until the render ends.
  void CaptureScope();

  // Expressions (interpreter_expr.cc).
  Value Evaluate(const Expr& expr);
  Value EvaluateNode(const Expr& expr);
  Value EvaluateCompare(const Expr& expr);
  Value EvaluateConcat(const Expr& expr);
  Value EvaluateDict(const Expr& expr);
  Value EvaluateSlice(const Expr& expr);
  Value EvaluateCall(const Expr& expr);
  // `input` replaces the null innermost input of a filter block's chain.
  Value EvaluateFilter(const Expr& expr, const Value* input);
  Value EvaluateTest(const Expr& expr);
  Value EvaluateSign(const Expr& expr);
  bool EvaluateArguments(const Expr& expr, size_t first, Arguments& arguments);
  Value LoopAttribute(LoopObject& loop, std::string_view name);

  // Variables.
  Value Lookup(const Name& name);
  void SetVariable(const Name* name, Value value);
  Scope* PushScope(Scope* parent);
  void PopScope(Scope* outer);

  // Operators (operators.cc).
  Value IntegerArithmetic(char op, int64_t a, int64_t b);
  Value FloatArithmetic(char op, double a, double b);
  Value Power(const Value& a, const Value& b);
  Value AddStrings(const Text& a, const Text& b);
  Value Repeat(const Value& value, int64_t times);
  Value TypeError(char op, const Value& a, const Value& b);
  int Order(const Value& a, const Value& b);

  const Tree& tree_;
  const Limits limits_;
  Heap heap_;
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  Scope* scope_ = nullptr;
  Text* out_ = nullptr;
  Status status_;
  int line_ = 1;
  int depth_ = 0;
  int64_t steps_left_;
  size_t allocated_bytes_ = 0;
};

}  // namespace millrace::jinja
