#include "chat/jinja/interpreter.h"

#include <algorithm>

#include "chat/jinja/interpreter_guards.h"

namespace millrace::jinja {

Result<Text> Interpreter::Run(const std::vector<std::pair<std::string, Value>>& variables) {
  PushScope(nullptr);
  for (const auto& [name, value] : variables) {
    if (const Name* interned = tree_.Find(name)) SetVariable(interned, value);
  }
  Text output;
  out_ = &output;
  Execute(tree_.body);
  if (failed()) return status_;
  return output;
}

Value Interpreter::FailWith(StatusCode code, std::string message) {
  if (status_.ok()) status_ = Status(code, fmt::format("chat template line {}: {}", line_, message));
  return Value();
}

Value Interpreter::FailUndefined(const Value& value) {
  const std::string_view name = value.undefined_name() != nullptr ? value.undefined_name()->view() : "value";
  if (value.undefined_owner() == Kind::kUndefined) return Fail("'{}' is undefined", name);
  return Fail("'{} object' has no attribute '{}'", TypeName(value.undefined_owner()), name);
}

bool Interpreter::Charge(size_t steps) {
  if (failed()) return false;
  steps_left_ -= static_cast<int64_t>(steps);
  if (steps_left_ >= 0) return true;
  FailWith(StatusCode::kOutOfRange, fmt::format("the template takes more than max_steps = {}", limits_.max_steps));
  return false;
}

Value Interpreter::MakeString(Text text) {
  if (text.size() > limits_.max_output_bytes) {
    return FailWith(StatusCode::kOutOfRange,
                    fmt::format("a string is longer than max_output_bytes = {}", limits_.max_output_bytes));
  }
  if (!ChargeBytes(text.size())) return Value();
  if (!Charge(text.size() / 64)) return Value();
  return Value::String(std::move(text));
}

bool Interpreter::ChargeBytes(size_t bytes) {
  if (failed()) return false;
  allocated_bytes_ += bytes;
  if (allocated_bytes_ <= limits_.max_allocated_bytes) return true;
  FailWith(StatusCode::kOutOfRange,
           fmt::format("values take more than max_allocated_bytes = {}", limits_.max_allocated_bytes));
  return false;
}

Value Interpreter::MakeList(std::vector<Value> items, Flavor flavor) {
  if (!Charge(items.size()) || !ChargeBytes(kObjectBytes + items.size() * kItemBytes)) return Value();
  return Value(heap_.NewList(flavor, std::move(items)));
}

DictObject* Interpreter::MakeDict() {
  ChargeBytes(kObjectBytes);
  return heap_.NewDict();
}

void Interpreter::SetItem(DictObject& dict, const Value& key, Value value) {
  if (!Hashable(key)) {
    Fail("unhashable type: '{}'", TypeName(key));
    return;
  }
  if (ChargeBytes(kEntryBytes)) dict.Set(key, std::move(value));
}

Value Interpreter::MakeFunction(const Builtin& builtin, const Value& self) {
  ChargeBytes(kObjectBytes);
  FunctionObject* function = heap_.NewFunction();
  function->builtin = &builtin;
  function->self = self;
  return Value(function);
}

Value Interpreter::ToString(const Value& value) {
  if (value.is_string()) return value;
  Text text;
  if (!AppendStr(value, limits_.max_output_bytes, text)) {
    return FailWith(StatusCode::kOutOfRange, fmt::format("a {} is too large or too deep to print", TypeName(value)));
  }
  return MakeString(std::move(text));
}

Scope* Interpreter::PushScope(Scope* parent) {
  if (free_scopes_.empty()) {
    scopes_.emplace_back();
    free_scopes_.push_back(&scopes_.back());
  }
  scope_ = free_scopes_.back();
  free_scopes_.pop_back();
  scope_->parent = parent;
  return scope_;
}

void Interpreter::PopScope(Scope* outer) {
  if (!scope_->captured) {
    scope_->variables.clear();
    free_scopes_.push_back(scope_);
  }
  scope_ = outer;
}

Value Interpreter::Lookup(const Name& name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [variable, value] : scope->variables) {
      if (variable == &name) return value;
    }
  }
  return name.global == nullptr ? Value::Undefined(name.text) : MakeFunction(*name.global, Value());
}

void Interpreter::SetVariable(const Name* name, Value value) {
  for (auto& [variable, slot] : scope_->variables) {
    if (variable == name) {
      slot = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(name, std::move(value));
}

Interpreter::Flow Interpreter::Execute(const Body& body) {
  for (const auto& stmt : body) {
    const Flow flow = ExecuteOne(*stmt);
    if (failed() || flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::ExecuteOne(const Stmt& stmt) {
  const DepthGuard guard(*this);
  line_ = stmt.line;
  if (!Charge(1)) return Flow::kNext;
  switch (stmt.kind) {
    case StmtKind::kData:
    case StmtKind::kPrint:
      Write(Evaluate(*stmt.expr));
      break;
    case StmtKind::kFor:
      ExecuteFor(stmt);
      break;
    case StmtKind::kIf:
      return ExecuteIf(stmt);
    case StmtKind::kSet:
      Assign(*stmt.target, Evaluate(*stmt.expr));
      break;
    case StmtKind::kSetBlock: {
      Value text = Capture(stmt.body);
      if (stmt.filter != nullptr) text = EvaluateFilter(*stmt.filter, &text);
      Assign(*stmt.target, text);
      break;
    }
    case StmtKind::kMacro:
      SetVariable(stmt.macro.name, MakeMacro(stmt.macro));
      break;
    case StmtKind::kCall:
      ExecuteCallBlock(stmt);
      break;
    case StmtKind::kFilter: {
      const Value text = Capture(stmt.body);
      Write(EvaluateFilter(*stmt.filter, &text));
      break;
    }
    case StmtKind::kWith:
      ExecuteWith(stmt);
      break;
    case StmtKind::kScope: {
      const ScopeGuard scope(*this, scope_);
      Execute(stmt.body);
      break;
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Interpreter::ExecuteFor(const Stmt& stmt) {
  RunLoop(stmt, Evaluate(*stmt.expr), 0);
}

// Keeps the items that pass "if test"; the loop variable is not visible there.
void Interpreter::FilterItems(const Stmt& stmt, std::vector<Value>& items) {
  std::vector<Value> kept;
  for (Value& item : items) {
    const ScopeGuard scope(*this, scope_);
    Assign(*stmt.target, item);
    if (Truthy(Evaluate(*stmt.test))) kept.push_back(std::move(item));
    if (failed()) return;
  }
  items = std::move(kept);
}

void Interpreter::RunLoop(const Stmt& stmt, const Value& iterable, int depth0) {
  LoopObject* loop = heap_.NewLoop();
  if (!ChargeBytes(kObjectBytes) || !Iterate(iterable, loop->items)) return;
  if (stmt.test != nullptr) FilterItems(stmt, loop->items);
  loop->depth0 = depth0;
  if (stmt.recursive) {
    loop->statement = &stmt;
    loop->scope = scope_;
    CaptureScope();
  }
  Scope* const outer = scope_;
  // Jinja runs the else branch unless an iteration came to the end of the body.
  bool completed = false;
  for (size_t i = 0; i < loop->items.size() && !failed(); ++i) {
    loop->index0 = i;
    const ScopeGuard scope(*this, outer);
    SetVariable(stmt.loop, Value(loop));
    Assign(*stmt.target, loop->items[i]);
    const Flow flow = Execute(stmt.body);
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNext;
  }
  if (!completed && !failed() && !stmt.else_body.empty()) {
    const ScopeGuard scope(*this, outer);
    Execute(stmt.else_body);
  }
}

Interpreter::Flow Interpreter::ExecuteIf(const Stmt& stmt) {
  for (const auto& [condition, body] : stmt.branches) {
    const bool taken = Truthy(Evaluate(*condition));
    if (failed()) return Flow::kNext;
    if (taken) return Execute(body);
  }
  return Execute(stmt.else_body);
}

void Interpreter::ExecuteWith(const Stmt& stmt) {
  std::vector<Value> values;
  for (const auto& [target, value] : stmt.assignments) values.push_back(Evaluate(*value));
  const ScopeGuard scope(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) Assign(*stmt.assignments[i].first, values[i]);
  Execute(stmt.body);
}

void Interpreter::Assign(const Expr& target, const Value& value) {
  if (failed()) return;
  if (target.kind == ExprKind::kName) return SetVariable(target.name, value);
  if (target.kind == ExprKind::kAttrTarget) {
    const Value object = Lookup(*target.name);
    if (object.kind() != Kind::kNamespace) {
      Fail("can't assign an attribute of {}, expected a namespace", target.name->text->view());
      return;
    }
    return SetItem(object.dict(), Value(target.attribute), value);
  }
  std::vector<Value> items;
  if (!Iterate(value, items)) return;
  if (items.size() != target.children.size()) {
    Fail("expected {} values to unpack, found {}", target.children.size(), items.size());
    return;
  }
  for (size_t i = 0; i < items.size(); ++i) Assign(*target.children[i], items[i]);
}

Value Interpreter::Capture(const Body& body) {
  Text text;
  Text* const outer = std::exchange(out_, &text);
  {
    const ScopeGuard scope(*this, scope_);
    Execute(body);
  }
  out_ = outer;
  return MakeString(std::move(text));
}

void Interpreter::Write(const Value& value) {
  if (failed()) return;
  const size_t before = out_->size();
  if (!AppendStr(value, limits_.max_output_bytes, *out_) || out_->size() > limits_.max_output_bytes) {
    FailWith(StatusCode::kOutOfRange,
             fmt::format("the output is longer than max_output_bytes = {}", limits_.max_output_bytes));
    return;
  }
  Charge((out_->size() - before) / 64);
}

}  // namespace millrace::jinja
