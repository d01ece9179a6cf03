// Methods of dict, list, tuple and loop. Those that change their object are refused unless Limits::allow_mutation.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"

namespace millrace::jinja {
namespace {

bool MayMutate(Interpreter& interpreter, const Value& self) {
  if (!interpreter.limits().allow_mutation) {
    interpreter.Fail("a template may not change a {} (the option allow_mutation is off)", TypeName(self));
  }
  return !interpreter.failed();
}

Value Get(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!Hashable(*bound[0])) return interpreter.Fail("unhashable type: '{}'", TypeName(*bound[0]));
  if (const Value* found = self.dict().Find(*bound[0])) return *found;
  return bound[1] != nullptr ? *bound[1] : Value::None();
}

Value Items(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.dict().entries)
    pairs.push_back(interpreter.MakeList({key, value}, Flavor::kTuple));
  return interpreter.MakeList(std::move(pairs), Flavor::kItems);
}

Value Keys(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> keys;
  for (const auto& entry : self.dict().entries) keys.push_back(entry.first);
  return interpreter.MakeList(std::move(keys), Flavor::kKeys);
}

Value Values(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> values;
  for (const auto& entry : self.dict().entries) values.push_back(entry.second);
  return interpreter.MakeList(std::move(values), Flavor::kValues);
}

Value CopyDict(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  DictObject* copy = interpreter.MakeDict();
  for (const auto& [key, value] : self.dict().entries) interpreter.SetItem(*copy, key, value);
  return Value(Kind::kDict, copy);
}

Value PopKey(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!MayMutate(interpreter, self)) return Value();
  if (!Hashable(*bound[0])) return interpreter.Fail("unhashable type: '{}'", TypeName(*bound[0]));
  if (const Value* found = self.dict().Find(*bound[0])) {
    Value value = *found;
    interpreter.Charge(self.dict().entries.size());
    self.dict().Erase(*bound[0]);
    return value;
  }
  return bound[1] != nullptr ? *bound[1] : interpreter.Fail("the key to pop is not in the dict");
}

Value SetDefault(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!MayMutate(interpreter, self)) return Value();
  if (!Hashable(*bound[0])) return interpreter.Fail("unhashable type: '{}'", TypeName(*bound[0]));
  if (const Value* found = self.dict().Find(*bound[0])) return *found;
  const Value value = bound[1] != nullptr ? *bound[1] : Value::None();
  interpreter.SetItem(self.dict(), *bound[0], value);
  return value;
}

Value Update(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  if (!MayMutate(interpreter, self)) return Value();
  for (const Value& other : raw.positional) {
    if (!other.is_dict()) return interpreter.Fail("update needs a mapping, found {}", TypeName(other));
    const auto entries = other.dict().entries;
    if (!interpreter.Charge(entries.size())) return Value();
    for (const auto& [key, value] : entries) interpreter.SetItem(self.dict(), key, value);
  }
  for (const auto& [name, value] : raw.named) interpreter.SetItem(self.dict(), Value::String(name, false), value);
  return Value::None();
}

Value ClearDict(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  if (!MayMutate(interpreter, self)) return Value();
  self.dict() = DictObject();
  return Value::None();
}

Value Append(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!MayMutate(interpreter, self) || !interpreter.ChargeBytes(2 * sizeof(Value))) return Value();
  self.list().items.push_back(*bound[0]);
  return Value::None();
}

Value Extend(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!MayMutate(interpreter, self) || !interpreter.Iterate(*bound[0], items)) return Value();
  if (!interpreter.ChargeBytes(2 * sizeof(Value) * items.size())) return Value();
  self.list().items.insert(self.list().items.end(), items.begin(), items.end());
  return Value::None();
}

Value Insert(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!MayMutate(interpreter, self) || !interpreter.ChargeBytes(2 * sizeof(Value))) return Value();
  auto& items = self.list().items;
  const auto size = static_cast<int64_t>(items.size());
  interpreter.Charge(items.size());
  const int64_t at = IntegerOr(interpreter, bound[0], 0);
  items.insert(items.begin() + std::clamp<int64_t>(at < 0 ? at + size : at, 0, size), *bound[1]);
  return Value::None();
}

Value PopItem(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!MayMutate(interpreter, self)) return Value();
  auto& items = self.list().items;
  const auto size = static_cast<int64_t>(items.size());
  int64_t at = IntegerOr(interpreter, bound[0], -1);
  at += at < 0 ? size : 0;
  if (at < 0 || at >= size) return interpreter.Fail("pop index out of range");
  interpreter.Charge(items.size());
  Value item = items[static_cast<size_t>(at)];
  items.erase(items.begin() + at);
  return item;
}

Value ReverseList(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  if (!MayMutate(interpreter, self) || !interpreter.Charge(self.list().items.size())) return Value();
  std::reverse(self.list().items.begin(), self.list().items.end());
  return Value::None();
}

Value ClearList(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  if (!MayMutate(interpreter, self)) return Value();
  self.list().items.clear();
  return Value::None();
}

Value CopyList(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return interpreter.MakeList(self.list().items);
}

Value Count(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  int64_t count = 0;
  for (const Value& item : self.list().items) {
    count += interpreter.Charge(1) && interpreter.Equals(item, *bound[0]) ? 1 : 0;
  }
  return Value::Int(count);
}

Value Index(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const auto& items = self.list().items;
  for (size_t i = 0; i < items.size() && interpreter.Charge(1); ++i) {
    if (interpreter.Equals(items[i], *bound[0])) return Value::Int(static_cast<int64_t>(i));
  }
  return interpreter.Fail("the value is not in the {}", TypeName(self));
}

Value Cycle(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  if (raw.positional.empty()) return interpreter.Fail("no items for cycling given");
  return raw.positional[self.loop().index0 % raw.positional.size()];
}

Value Changed(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  LoopObject& loop = self.loop();
  bool same = loop.changed_called && loop.changed_values.size() == raw.positional.size();
  for (size_t i = 0; same && i < raw.positional.size(); ++i) {
    same = interpreter.Equals(loop.changed_values[i], raw.positional[i]);
  }
  loop.changed_called = true;
  loop.changed_values = raw.positional;
  return Value::Bool(!same);
}

constexpr Builtin kDictMethods[] = {
    {"get", Get, 1, {"key", "default"}},
    {"items", Items},
    {"keys", Keys},
    {"values", Values},
    {"copy", CopyDict},
    {"pop", PopKey, 1, {"key", "default"}},
    {"setdefault", SetDefault, 1, {"key", "default"}},
    {"update", Update, 0, {}, true},
    {"clear", ClearDict},
};

constexpr Builtin kListMethods[] = {
    {"append", Append, 1, {"object"}},
    {"extend", Extend, 1, {"iterable"}},
    {"insert", Insert, 2, {"index", "object"}},
    {"pop", PopItem, 0, {"index"}},
    {"reverse", ReverseList},
    {"clear", ClearList},
    {"copy", CopyList},
    {"count", Count, 1, {"value"}},
    {"index", Index, 1, {"value"}},
};

constexpr Builtin kTupleMethods[] = {
    {"count", Count, 1, {"value"}},
    {"index", Index, 1, {"value"}},
};

constexpr Builtin kLoopMethods[] = {
    {"cycle", Cycle, 0, {}, true},
    {"changed", Changed, 0, {}, true},
};

}  // namespace

std::span<const Builtin> ContainerMethods(Kind kind, Flavor flavor) {
  if (kind == Kind::kDict) return kDictMethods;
  if (kind == Kind::kLoop) return kLoopMethods;
  if (kind != Kind::kList) return {};
  if (flavor == Flavor::kList) return kListMethods;
  return flavor == Flavor::kTuple || flavor == Flavor::kRange ? std::span<const Builtin>(kTupleMethods)
                                                              : std::span<const Builtin>();
}

}  // namespace millrace::jinja
