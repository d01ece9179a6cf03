#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/interpreter.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {

Value Interpreter::Evaluate(const Expr& expr) {
  if (++depth_ > limits_.max_depth) {
    FailWith(StatusCode::kOutOfRange, fmt::format("recursion is deeper than max_depth = {}", limits_.max_depth));
  }
  Value result;
  if (Charge(1)) {
    line_ = expr.line;
    result = EvaluateNode(expr);
  }
  --depth_;
  return result;
}

Value Interpreter::EvaluateNode(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kConst:
      return expr.value;
    case ExprKind::kName:
      return Lookup(*expr.name);
    case ExprKind::kList:
    case ExprKind::kTuple: {
      std::vector<Value> items;
      for (const auto& child : expr.children) items.push_back(Evaluate(*child));
      return MakeList(std::move(items), expr.kind == ExprKind::kList ? Flavor::kList : Flavor::kTuple);
    }
    case ExprKind::kDict:
      return EvaluateDict(expr);
    case ExprKind::kNot:
      return Value::Bool(!Truthy(Evaluate(*expr.children[0])));
    case ExprKind::kNegate:
    case ExprKind::kPlus:
      return EvaluateSign(expr);
    case ExprKind::kBinary: {
      const Value left = Evaluate(*expr.children[0]);
      const Value right = Evaluate(*expr.children[1]);
      line_ = expr.line;
      return Binary(expr.op, left, right);
    }
    case ExprKind::kConcat:
      return EvaluateConcat(expr);
    case ExprKind::kCompare:
      return EvaluateCompare(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = Evaluate(*expr.children[0]);
      const bool decided = Truthy(left) == (expr.kind == ExprKind::kOr);
      return decided || failed() ? left : Evaluate(*expr.children[1]);
    }
    case ExprKind::kCond: {
      const bool taken = Truthy(Evaluate(*expr.children[0]));
      const Expr* branch = expr.children[taken ? 1 : 2].get();
      return branch != nullptr ? Evaluate(*branch) : Value();
    }
    case ExprKind::kAttribute: {
      const Value object = Evaluate(*expr.children[0]);
      return GetAttribute(object, expr.attribute);
    }
    case ExprKind::kItem: {
      const Value object = Evaluate(*expr.children[0]);
      const Value key = Evaluate(*expr.children[1]);
      line_ = expr.line;
      return GetItem(object, key);
    }
    case ExprKind::kSlice:
      return EvaluateSlice(expr);
    case ExprKind::kCall:
      return EvaluateCall(expr);
    case ExprKind::kFilter:
      return EvaluateFilter(expr, nullptr);
    case ExprKind::kTest:
      return EvaluateTest(expr);
    case ExprKind::kAttrTarget:
      break;
  }
  return Value();
}

Value Interpreter::EvaluateDict(const Expr& expr) {
  DictObject* dict = MakeDict();
  for (size_t i = 0; i + 1 < expr.children.size() && !failed(); i += 2) {
    const Value key = Evaluate(*expr.children[i]);
    Value value = Evaluate(*expr.children[i + 1]);
    SetItem(*dict, key, std::move(value));
  }
  return Value(Kind::kDict, dict);
}

Value Interpreter::EvaluateSign(const Expr& expr) {
  const Value operand = Evaluate(*expr.children[0]);
  if (operand.is_undefined()) return failed() ? Value() : FailUndefined(operand);
  if (!operand.is_number())
    return Fail("bad operand type for unary {}: '{}'", expr.kind == ExprKind::kNegate ? '-' : '+', TypeName(operand));
  if (expr.kind == ExprKind::kPlus) return operand.is_float() ? operand : Value::Int(operand.integer());
  if (operand.is_float()) return Value::Float(-operand.number());
  return Binary('-', Value::Int(0), operand);
}

Value Interpreter::EvaluateConcat(const Expr& expr) {
  Text text;
  for (const auto& child : expr.children) {
    const Value part = Evaluate(*child);
    if (failed()) return Value();
    if (!AppendStr(part, limits_.max_output_bytes, text)) {
      return FailWith(StatusCode::kOutOfRange,
                      fmt::format("a string is longer than max_output_bytes = {}", limits_.max_output_bytes));
    }
  }
  return MakeString(std::move(text));
}

Value Interpreter::EvaluateCompare(const Expr& expr) {
  Value left = Evaluate(*expr.children[0]);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = Evaluate(*expr.children[i + 1]);
    line_ = expr.line;
    if (failed() || !Compare(expr.ops[i], left, right)) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

namespace {

// Python's rule for one bound of a slice.
int64_t SliceBound(const Value& bound, int64_t size, int64_t step, int64_t missing) {
  if (!bound.is_integral()) return missing;
  int64_t at = bound.integer();
  if (at < 0) at = at < -size ? -1 : at + size;
  if (step < 0) return bound.integer() < 0 && at < 0 ? -1 : std::min(at, size - 1);
  return std::clamp<int64_t>(at, 0, size);
}

}  // namespace

Value Interpreter::EvaluateSlice(const Expr& expr) {
  const Value object = Evaluate(*expr.children[0]);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    bounds[i] = expr.children[i + 1] != nullptr ? Evaluate(*expr.children[i + 1]) : Value::None();
    if (failed()) return Value();
    if (!bounds[i].is_none() && !bounds[i].is_integral()) return Fail("slice bounds must be integers or None");
  }
  line_ = expr.line;
  const bool text = object.is_string();
  const bool list = object.is_list() && object.list().flavor <= Flavor::kRange;
  if (object.is_undefined()) return FailUndefined(object);
  if (!text && !list) return Value::Undefined(nullptr, object.kind());
  const int64_t step = bounds[2].is_none() ? 1 : bounds[2].integer();
  if (step == 0) return Fail("slice step cannot be zero");
  if (text && !Charge(object.text().size() / 16)) return Value();
  const auto size = static_cast<int64_t>(text ? CountChars(object.view()) : object.list().items.size());
  const int64_t start = SliceBound(bounds[0], size, step, step > 0 ? 0 : size - 1);
  const int64_t stop = SliceBound(bounds[1], size, step, step > 0 ? size : -1);
  if (text && step == 1) {
    const size_t begin = CharOffset(object.view(), static_cast<size_t>(start));
    const size_t length =
        CharOffset(object.view().substr(begin), static_cast<size_t>(std::max<int64_t>(0, stop - start)));
    return MakeString(object.text().Slice(begin, length));
  }
  std::vector<Value> items;
  if (!Iterate(object, items)) return Value();
  std::vector<Value> kept;
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    kept.push_back(items[static_cast<size_t>(i)]);
    if (step > size || step < -size) break;
  }
  if (list) return MakeList(std::move(kept), object.list().flavor);
  Text joined;
  for (const Value& item : kept) joined.Append(item.text());
  return MakeString(std::move(joined));
}

bool Interpreter::EvaluateArguments(const Expr& expr, size_t first, Arguments& arguments) {
  for (size_t i = first; i < expr.children.size(); ++i) arguments.positional.push_back(Evaluate(*expr.children[i]));
  for (const auto& [name, value] : expr.named) arguments.named.emplace_back(name, Evaluate(*value));
  if (expr.star_args != nullptr && !failed()) {
    std::vector<Value> items;
    if (!Iterate(Evaluate(*expr.star_args), items)) return false;
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  if (expr.star_kwargs != nullptr && !failed()) {
    const Value dict = Evaluate(*expr.star_kwargs);
    if (!dict.is_dict()) {
      Fail("the argument after ** must be a mapping, found {}", TypeName(dict));
      return false;
    }
    for (const auto& [key, value] : dict.dict().entries) {
      if (!key.is_string()) {
        Fail("keywords must be strings, found {}", TypeName(key));
        return false;
      }
      arguments.named.emplace_back(std::string(key.view()), value);
    }
  }
  line_ = expr.line;
  return !failed();
}

Value Interpreter::EvaluateCall(const Expr& expr) {
  const Value callee = Evaluate(*expr.children[0]);
  Arguments arguments;
  if (!EvaluateArguments(expr, 1, arguments)) return Value();
  return Call(callee, arguments);
}

Value Interpreter::EvaluateFilter(const Expr& expr, const Value* input) {
  Value self;
  if (const Expr* inner = expr.children[0].get(); inner == nullptr) {
    if (input != nullptr) self = *input;
  } else {
    // A filter block's chain passes its input down to the innermost filter.
    self = input != nullptr && inner->kind == ExprKind::kFilter ? EvaluateFilter(*inner, input) : Evaluate(*inner);
  }
  Arguments arguments;
  if (!EvaluateArguments(expr, 1, arguments)) return Value();
  if (expr.builtin == nullptr) return Fail("no filter named '{}'", expr.attribute->view());
  return CallBuiltin(*expr.builtin, self, arguments);
}

Value Interpreter::EvaluateTest(const Expr& expr) {
  const Value self = Evaluate(*expr.children[0]);
  Arguments arguments;
  if (!EvaluateArguments(expr, 1, arguments)) return Value();
  if (expr.builtin == nullptr) return Fail("no test named '{}'", expr.attribute->view());
  return Value::Bool(Truthy(CallBuiltin(*expr.builtin, self, arguments)));
}

Value Interpreter::CallBuiltin(const Builtin& builtin, const Value& self, const Arguments& arguments) {
  std::array<const Value*, kMaxParameters> bound = {};
  if (!builtin.variadic) {
    size_t num_parameters = 0;
    while (num_parameters < kMaxParameters && !builtin.parameters[num_parameters].empty()) ++num_parameters;
    if (arguments.positional.size() > num_parameters) {
      return Fail("'{}' takes at most {} arguments, found {}", builtin.name, num_parameters,
                  arguments.positional.size());
    }
    for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
    for (const auto& [name, value] : arguments.named) {
      const auto end = builtin.parameters.begin() + static_cast<ptrdiff_t>(num_parameters);
      const auto found = std::find(builtin.parameters.begin(), end, name);
      if (found == end) return Fail("'{}' takes no argument '{}'", builtin.name, name);
      const auto slot = static_cast<size_t>(found - builtin.parameters.begin());
      if (bound[slot] != nullptr) return Fail("'{}' got two values for '{}'", builtin.name, name);
      bound[slot] = &value;
    }
    for (size_t i = 0; i < builtin.required; ++i) {
      if (bound[i] == nullptr) return Fail("'{}' needs the argument '{}'", builtin.name, builtin.parameters[i]);
    }
  }
  return failed() ? Value() : builtin.function(*this, self, bound, arguments);
}

Value Interpreter::LoopAttribute(LoopObject& loop, std::string_view name) {
  const auto size = static_cast<int64_t>(loop.items.size());
  const auto index0 = static_cast<int64_t>(loop.index0);
  if (name == "index") return Value::Int(index0 + 1);
  if (name == "index0") return Value::Int(index0);
  if (name == "revindex") return Value::Int(size - index0);
  if (name == "revindex0") return Value::Int(size - index0 - 1);
  if (name == "first") return Value::Bool(index0 == 0);
  if (name == "last") return Value::Bool(index0 + 1 == size);
  if (name == "length") return Value::Int(size);
  if (name == "depth") return Value::Int(loop.depth0 + 1);
  if (name == "depth0") return Value::Int(loop.depth0);
  if (name == "previtem" && index0 > 0) return loop.items[loop.index0 - 1];
  if (name == "nextitem" && index0 + 1 < size) return loop.items[loop.index0 + 1];
  return Value::Undefined(nullptr, Kind::kLoop);
}

Value Interpreter::GetAttribute(const Value& object, const TextPtr& name) {
  if (failed()) return Value();
  if (object.is_undefined()) return FailUndefined(object);
  if (object.kind() == Kind::kNamespace) {
    const Value* found = object.dict().Find(name->view());
    return found != nullptr ? *found : Value::Undefined(name, object.kind());
  }
  if (const Builtin* method = FindMethod(object, name->view())) return MakeFunction(*method, object);
  if (object.kind() == Kind::kLoop) return LoopAttribute(object.loop(), name->view());
  if (object.is_dict()) {
    if (const Value* found = object.dict().Find(name->view())) return *found;
  }
  return Value::Undefined(name, object.kind());
}

Value Interpreter::GetItem(const Value& object, const Value& key) {
  if (failed()) return Value();
  if (object.is_undefined()) return FailUndefined(object);
  if (object.is_dict()) {
    if (!Hashable(key)) return Value::Undefined(nullptr, object.kind());
    if (const Value* found = object.dict().Find(key)) return *found;
  }
  const bool sequence = object.is_list() && object.list().flavor <= Flavor::kRange;
  if (key.is_integral() && (sequence || object.is_string())) {
    if (object.is_string() && !Charge(object.text().size() / 16)) return Value();
    const auto size = static_cast<int64_t>(sequence ? object.list().items.size() : CountChars(object.view()));
    const int64_t at = key.integer() < 0 ? key.integer() + size : key.integer();
    if (at < 0 || at >= size) return Value::Undefined(nullptr, object.kind());
    if (sequence) return object.list().items[static_cast<size_t>(at)];
    const size_t begin = CharOffset(object.view(), static_cast<size_t>(at));
    return MakeString(object.text().Slice(begin, DecodeAt(object.view(), begin).size));
  }
  if (!key.is_string()) return Value::Undefined(nullptr, object.kind());
  auto name = std::make_shared<const Text>(key.text());
  return object.is_dict() && FindMethod(object, key.view()) == nullptr ? Value::Undefined(std::move(name), Kind::kDict)
                                                                       : GetAttribute(object, name);
}

}  // namespace millrace::jinja
