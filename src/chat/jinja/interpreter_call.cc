// Calls: macros, call blocks, recursive loops and builtin functions.
#include <algorithm>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/interpreter_guards.h"

namespace millrace::jinja {

Value Interpreter::MakeMacro(const MacroDefinition& macro) {
  ChargeBytes(kObjectBytes);
  FunctionObject* function = heap_.NewFunction();
  function->macro = &macro;
  function->closure = scope_;
  CaptureScope();
  return Value(function);
}

void Interpreter::CaptureScope() {
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) {
    scope->captured = true;
    ChargeBytes(kObjectBytes + scope->variables.size() * kItemBytes);
  }
}

void Interpreter::ExecuteCallBlock(const Stmt& stmt) {
  const Value callee = Evaluate(*stmt.expr->children[0]);
  Arguments arguments;
  if (!EvaluateArguments(*stmt.expr, 1, arguments)) return;
  arguments.named.emplace_back("caller", MakeMacro(stmt.macro));
  Write(Call(callee, arguments));
}

Value Interpreter::CallMacro(const FunctionObject& function, const Arguments& arguments) {
  const DepthGuard guard(*this);
  if (!Charge(1)) return Value();
  const ScopeGuard scope(*this, function.closure);
  if (!BindMacro(*function.macro, arguments)) return Value();
  Text text;
  Text* const outer = std::exchange(out_, &text);
  Execute(function.macro->body);
  out_ = outer;
  return MakeString(std::move(text));
}

// Sets the parameters of a macro in the current scope.
bool Interpreter::BindMacro(const MacroDefinition& macro, const Arguments& arguments) {
  const std::string_view name = macro.name != nullptr ? macro.name->text->view() : "caller";
  const size_t num_parameters = macro.parameters.size();
  std::vector<bool> used(arguments.named.size(), false);
  const auto take_named = [&](std::string_view key) -> const Value* {
    for (size_t i = 0; i < used.size(); ++i) {
      if (used[i] || arguments.named[i].first != key) continue;
      used[i] = true;
      return &arguments.named[i].second;
    }
    return nullptr;
  };
  bool has_caller = false;
  for (size_t i = 0; i < num_parameters; ++i) {
    const Name* parameter = macro.parameters[i];
    has_caller = has_caller || parameter == macro.caller;
    const Value* given =
        i < arguments.positional.size() ? &arguments.positional[i] : take_named(parameter->text->view());
    const size_t first_default = num_parameters - macro.defaults.size();
    if (given != nullptr) {
      SetVariable(parameter, *given);
    } else {
      SetVariable(parameter, i >= first_default ? Evaluate(*macro.defaults[i - first_default])
                                                : Value::Undefined(parameter->text));
    }
  }
  if (macro.caller != nullptr && !has_caller) {
    const Value* caller = take_named("caller");
    SetVariable(macro.caller, caller != nullptr ? *caller : Value::Undefined(macro.caller->text));
  }
  if (macro.kwargs != nullptr) {
    DictObject* rest = heap_.NewDict();
    for (size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) rest->Set(Value::String(arguments.named[i].first, false), arguments.named[i].second);
    }
    SetVariable(macro.kwargs, Value(Kind::kDict, rest));
  } else if (const auto unknown = std::find(used.begin(), used.end(), false); unknown != used.end()) {
    Fail("macro '{}' takes no keyword argument '{}'", name,
         arguments.named[static_cast<size_t>(unknown - used.begin())].first);
  }
  std::vector<Value> extra;
  if (arguments.positional.size() > num_parameters) {
    extra.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(num_parameters), arguments.positional.end());
  }
  if (macro.varargs != nullptr) {
    SetVariable(macro.varargs, MakeList(std::move(extra), Flavor::kTuple));
  } else if (!extra.empty()) {
    Fail("macro '{}' takes at most {} arguments, found {}", name, num_parameters, arguments.positional.size());
  }
  return !failed();
}

Value Interpreter::CallLoop(LoopObject& loop, const Arguments& arguments) {
  if (loop.statement == nullptr) return Fail("only a loop marked 'recursive' can be called");
  if (arguments.positional.size() != 1) return Fail("a recursive loop takes one iterable");
  const DepthGuard guard(*this);
  if (!Charge(1)) return Value();
  Scope* const outer_scope = std::exchange(scope_, loop.scope);
  Text text;
  Text* const outer = std::exchange(out_, &text);
  RunLoop(*static_cast<const Stmt*>(loop.statement), arguments.positional[0], loop.depth0 + 1);
  out_ = outer;
  scope_ = outer_scope;
  return MakeString(std::move(text));
}

Value Interpreter::Call(const Value& callee, const Arguments& arguments) {
  if (failed()) return Value();
  if (callee.is_undefined()) return FailUndefined(callee);
  if (callee.kind() == Kind::kLoop) return CallLoop(callee.loop(), arguments);
  if (callee.kind() != Kind::kFunction) return Fail("'{}' object is not callable", TypeName(callee));
  const FunctionObject& function = callee.function();
  if (function.macro != nullptr) return CallMacro(function, arguments);
  return CallBuiltin(*function.builtin, function.self, arguments);
}

}  // namespace millrace::jinja
