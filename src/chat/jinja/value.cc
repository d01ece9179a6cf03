#include "chat/jinja/value.h"

#include <cmath>
#include <functional>

namespace millrace::jinja {

Value Value::Bool(bool value) {
  Value result(Kind::kBool);
  result.payload_.integer = value ? 1 : 0;
  return result;
}

Value Value::Int(int64_t value) {
  Value result(Kind::kInt);
  result.payload_.integer = value;
  return result;
}

Value Value::Float(double value) {
  Value result(Kind::kFloat);
  result.payload_.real = value;
  return result;
}

Value Value::Undefined(TextPtr name, Kind owner) {
  Value result;
  result.payload_.integer = static_cast<int64_t>(owner);
  result.text_ = std::move(name);
  return result;
}

bool Value::Is(const Value& other) const {
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return view() == other.view();
    case Kind::kFloat:
      return payload_.real == other.payload_.real;
    default:
      return payload_.integer == other.payload_.integer;
  }
}

size_t DictObject::Locate(const Value& key) const {
  if (entries.size() < kIndexedSize) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (Equal(entries[i].first, key)) return i;
    }
    return entries.size();
  }
  const auto [first, last] = index.equal_range(Hash(key));
  for (auto it = first; it != last; ++it) {
    if (Equal(entries[it->second].first, key)) return it->second;
  }
  return entries.size();
}

void DictObject::Reindex() {
  index.clear();
  if (entries.size() < kIndexedSize) return;
  for (size_t i = 0; i < entries.size(); ++i) index.emplace(Hash(entries[i].first), i);
}

const Value* DictObject::Find(const Value& key) const {
  const size_t at = Locate(key);
  return at < entries.size() ? &entries[at].second : nullptr;
}

const Value* DictObject::Find(std::string_view key) const {
  if (entries.size() >= kIndexedSize) return Find(Value::String(std::string(key), false));
  for (const auto& [name, value] : entries) {
    if (name.is_string() && name.view() == key) return &value;
  }
  return nullptr;
}

void DictObject::Set(const Value& key, Value value) {
  const size_t at = Locate(key);
  if (at < entries.size()) {
    entries[at].second = std::move(value);
    return;
  }
  entries.emplace_back(key, std::move(value));
  if (entries.size() == kIndexedSize) {
    Reindex();
  } else if (entries.size() > kIndexedSize) {
    index.emplace(Hash(key), entries.size() - 1);
  }
}

bool DictObject::Erase(const Value& key) {
  const size_t at = Locate(key);
  if (at == entries.size()) return false;
  entries.erase(entries.begin() + static_cast<ptrdiff_t>(at));
  Reindex();
  return true;
}

ListObject* Heap::NewList(Flavor flavor, std::vector<Value> items) {
  lists_.push_back(std::make_unique<ListObject>(ListObject{flavor, 0, std::move(items)}));
  return lists_.back().get();
}

DictObject* Heap::NewDict() {
  dicts_.push_back(std::make_unique<DictObject>());
  return dicts_.back().get();
}

FunctionObject* Heap::NewFunction() {
  functions_.push_back(std::make_unique<FunctionObject>());
  return functions_.back().get();
}

LoopObject* Heap::NewLoop() {
  loops_.push_back(std::make_unique<LoopObject>());
  return loops_.back().get();
}

bool Truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
      return value.list().flavor == Flavor::kIterator || !value.list().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    default:
      return true;
  }
}

std::string_view TypeName(Kind kind) {
  switch (kind) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kFunction:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "object";
}

std::string_view TypeName(const Value& value) {
  if (!value.is_list()) return TypeName(value.kind());
  constexpr std::string_view kNames[] = {"list",        "tuple",      "range",    "dict_keys",
                                         "dict_values", "dict_items", "generator"};
  return kNames[static_cast<size_t>(value.list().flavor)];
}

namespace {

// Views and iterators are equal only to themselves; a list never equals a tuple.
bool EqualLists(const ListObject& a, const ListObject& b, int64_t* work, int depth) {
  if (&a == &b) return true;
  if (a.flavor != b.flavor || a.items.size() != b.items.size()) return false;
  if (a.flavor > Flavor::kRange && a.flavor != Flavor::kKeys && a.flavor != Flavor::kItems) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!Equal(a.items[i], b.items[i], work, depth + 1)) return false;
  }
  return true;
}

bool EqualDicts(const DictObject& a, const DictObject& b, int64_t* work, int depth) {
  if (&a == &b) return true;
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.Find(key);
    if (other == nullptr || !Equal(value, *other, work, depth + 1)) return false;
  }
  return true;
}

}  // namespace

bool Equal(const Value& a, const Value& b, int64_t* work, int depth) {
  if (depth > kMaxValueDepth || (work != nullptr && --*work < 0)) return false;
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
    return a.number() == b.number();
  }
  if (a.kind() != b.kind()) return false;
  if (a.is_list()) return EqualLists(a.list(), b.list(), work, depth);
  if (a.is_dict()) return EqualDicts(a.dict(), b.dict(), work, depth);
  return a.Is(b);
}

bool Hashable(const Value& value, int depth) {
  if (depth > 4) return false;
  if (value.is_list()) {
    const Flavor flavor = value.list().flavor;
    if (flavor != Flavor::kTuple) return flavor == Flavor::kIterator || flavor == Flavor::kRange;
    for (const Value& item : value.list().items) {
      if (!Hashable(item, depth + 1)) return false;
    }
    return true;
  }
  return value.kind() != Kind::kDict;
}

size_t Hash(const Value& value) {
  if (value.is_string()) return std::hash<std::string_view>()(value.view());
  if (value.is_number()) return std::hash<double>()(value.number());
  if (!value.is_list()) return static_cast<size_t>(value.kind());
  size_t hash = value.list().items.size();
  for (const Value& item : value.list().items) hash = hash * 1000003 + (item.is_list() ? 1 : Hash(item));
  return hash;
}

}  // namespace millrace::jinja
