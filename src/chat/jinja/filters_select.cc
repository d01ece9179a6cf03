// Filters that choose, order or transform the items of a sequence.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/text_ops.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

const Value* Named(const Arguments& arguments, std::string_view name) {
  for (const auto& [key, value] : arguments.named) {
    if (key == name) return &value;
  }
  return nullptr;
}

Arguments Rest(const Arguments& arguments, size_t first) {
  Arguments rest;
  rest.positional.assign(
      arguments.positional.begin() + static_cast<ptrdiff_t>(std::min(first, arguments.positional.size())),
      arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

Value Map(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  if (!Truthy(self)) return interpreter.MakeList({}, Flavor::kIterator);
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  std::vector<Value> mapped;
  const Value* attribute = Named(raw, "attribute");
  if (raw.positional.empty() && attribute != nullptr) {
    const Value* fallback = Named(raw, "default");
    for (const Value& item : items) {
      Value value = AttributePath(interpreter, item, attribute);
      if (value.is_undefined() && fallback != nullptr && !fallback->is_none()) value = *fallback;
      mapped.push_back(std::move(value));
    }
  } else {
    if (raw.positional.empty() || !raw.positional[0].is_string()) return interpreter.Fail("map requires a filter name");
    const Builtin* filter = FindFilter(raw.positional[0].view());
    if (filter == nullptr) return interpreter.Fail("no filter named '{}'", raw.positional[0].view());
    const Arguments rest = Rest(raw, 1);
    for (const Value& item : items) {
      if (!interpreter.Charge(1)) break;
      mapped.push_back(interpreter.CallBuiltin(*filter, item, rest));
    }
  }
  return interpreter.MakeList(std::move(mapped), Flavor::kIterator);
}

// Keeps the items for which the test (or their truth, without one) equals `wanted`; looks at an attribute of each when
// asked.
Value SelectItems(Interpreter& interpreter, const Value& self, const Arguments& raw, bool wanted, bool by_attribute) {
  if (!Truthy(self)) return interpreter.MakeList({}, Flavor::kIterator);
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  const size_t test_at = by_attribute ? 1 : 0;
  if (raw.positional.size() < test_at) return interpreter.Fail("missing the name of an attribute");
  const Builtin* test = nullptr;
  if (raw.positional.size() > test_at) {
    const Value& name = raw.positional[test_at];
    test = name.is_string() ? FindTest(name.view()) : nullptr;
    if (test == nullptr) return interpreter.Fail("no test named '{}'", name.is_string() ? name.view() : TypeName(name));
  }
  const Arguments rest = Rest(raw, test_at + 1);
  std::vector<Value> kept;
  for (const Value& item : items) {
    if (!interpreter.Charge(1)) return Value();
    const Value subject = by_attribute ? AttributePath(interpreter, item, &raw.positional[0]) : item;
    const Value result = test != nullptr ? interpreter.CallBuiltin(*test, subject, rest) : subject;
    if (Truthy(result) == wanted) kept.push_back(item);
  }
  return interpreter.MakeList(std::move(kept), Flavor::kIterator);
}

Value Select(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  return SelectItems(interpreter, self, raw, true, false);
}

Value Reject(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  return SelectItems(interpreter, self, raw, false, false);
}

Value SelectAttr(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  return SelectItems(interpreter, self, raw, true, true);
}

Value RejectAttr(Interpreter& interpreter, const Value& self, const Bound&, const Arguments& raw) {
  return SelectItems(interpreter, self, raw, false, true);
}

struct Keyed {
  Value key;
  Value item;
};

// Items with their sort keys: "a,b" compares by a, then by b; case is ignored unless asked.
std::vector<Keyed> KeyItems(Interpreter& interpreter, const std::vector<Value>& items, const Value* attribute,
                            bool case_sensitive, bool several) {
  std::vector<Value> paths;
  if (several && attribute != nullptr && attribute->is_string()) {
    for (Text& path : Split(attribute->text(), ",", -1)) paths.push_back(Value::String(std::move(path)));
  }
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    const auto key_of = [&](const Value* path) {
      const Value key = AttributePath(interpreter, item, path);
      return case_sensitive ? key : IgnoreCase(interpreter, key);
    };
    if (paths.size() > 1) {
      std::vector<Value> keys;
      for (const Value& path : paths) keys.push_back(key_of(&path));
      keyed.push_back({interpreter.MakeList(std::move(keys)), item});
    } else {
      keyed.push_back({key_of(attribute), item});
    }
    if (!interpreter.Charge(1)) break;
  }
  return keyed;
}

void SortKeyed(Interpreter& interpreter, std::vector<Keyed>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return interpreter.Charge(1) && (reverse ? interpreter.Less(b.key, a.key) : interpreter.Less(a.key, b.key));
  });
}

Value Sort(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  auto keyed = KeyItems(interpreter, items, bound[2], BooleanOr(bound[1], false), true);
  SortKeyed(interpreter, keyed, BooleanOr(bound[0], false));
  items.clear();
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return interpreter.MakeList(std::move(items));
}

Value Unique(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  DictObject seen;
  std::vector<Value> kept;
  for (Keyed& entry : KeyItems(interpreter, items, bound[1], BooleanOr(bound[0], false), false)) {
    if (!Hashable(entry.key)) return interpreter.Fail("unhashable type: '{}'", TypeName(entry.key));
    if (seen.Find(entry.key) != nullptr) continue;
    seen.Set(entry.key, Value());
    kept.push_back(std::move(entry.item));
  }
  return interpreter.MakeList(std::move(kept), Flavor::kIterator);
}

Value Extreme(Interpreter& interpreter, const Value& self, const Bound& bound, bool smallest) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  const auto keyed = KeyItems(interpreter, items, bound[1], BooleanOr(bound[0], false), false);
  const Keyed* best = nullptr;
  for (const Keyed& entry : keyed) {
    const bool better =
        best == nullptr || (smallest ? interpreter.Less(entry.key, best->key) : interpreter.Less(best->key, entry.key));
    if (better) best = &entry;
  }
  return best != nullptr && !interpreter.failed() ? best->item : Value();
}

Value Min(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  return Extreme(interpreter, self, bound, true);
}

Value Max(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  return Extreme(interpreter, self, bound, false);
}

Value Sum(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  Value sum = bound[1] != nullptr ? *bound[1] : Value::Int(0);
  if (sum.is_string()) return interpreter.Fail("sum can't add strings, use join");
  for (const Value& item : items) sum = interpreter.Binary('+', sum, AttributePath(interpreter, item, bound[0]));
  return sum;
}

Value GroupBy(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  const bool case_sensitive = BooleanOr(bound[2], false);
  auto keyed = KeyItems(interpreter, items, bound[0], true, false);
  for (Keyed& entry : keyed) {
    if (entry.key.is_undefined() && bound[1] != nullptr) entry.key = *bound[1];
    if (!case_sensitive) entry.key = IgnoreCase(interpreter, entry.key);
  }
  SortKeyed(interpreter, keyed, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size() && !interpreter.failed();) {
    std::vector<Value> members;
    size_t end = i;
    for (; end < keyed.size() && interpreter.Equals(keyed[i].key, keyed[end].key); ++end)
      members.push_back(keyed[end].item);
    if (end == i) break;
    Value key = AttributePath(interpreter, keyed[i].item, bound[0]);
    if (key.is_undefined() && bound[1] != nullptr) key = *bound[1];
    const Value list = interpreter.MakeList(std::move(members));
    groups.push_back(interpreter.MakeList({std::move(key), list}, Flavor::kTuple));
    i = end;
  }
  return interpreter.MakeList(std::move(groups));
}

constexpr Builtin kSelectFilters[] = {
    {"map", Map, 0, {}, true},
    {"select", Select, 0, {}, true},
    {"reject", Reject, 0, {}, true},
    {"selectattr", SelectAttr, 0, {}, true},
    {"rejectattr", RejectAttr, 0, {}, true},
    {"sort", Sort, 0, {"reverse", "case_sensitive", "attribute"}},
    {"unique", Unique, 0, {"case_sensitive", "attribute"}},
    {"min", Min, 0, {"case_sensitive", "attribute"}},
    {"max", Max, 0, {"case_sensitive", "attribute"}},
    {"sum", Sum, 0, {"attribute", "start"}},
    {"groupby", GroupBy, 1, {"attribute", "default", "case_sensitive"}},
};

}  // namespace

std::span<const Builtin> SelectionFilters() {
  return kSelectFilters;
}

}  // namespace millrace::jinja
