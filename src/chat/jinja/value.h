// Value: what a template computes with, with Python's semantics: None, bool, int (64 bits), float, str, list, tuple,
// dict in insertion order, Jinja's Undefined, namespaces, functions and loops. Scalars and strings are held by value;
// containers live in the Heap of one render and are referred to, as in Python.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/jinja/text.h"

namespace millrace::jinja {

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,  // every ordered sequence and iterator; ListObject::flavor tells which
  kDict,
  kNamespace,
  kFunction,
  kLoop,
};

struct ListObject;
struct DictObject;
struct FunctionObject;
struct LoopObject;

class Value {
 public:
  Value() = default;
  static Value None() { return Value(Kind::kNone); }
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value String(Text text) { return Value(std::make_shared<const Text>(std::move(text))); }
  static Value String(std::string bytes, bool tainted) { return String(Text(std::move(bytes), tainted)); }
  // Undefined that remembers what was looked for (may be null), and in which kind of value, for the message of a later
  // error.
  static Value Undefined(TextPtr name, Kind owner = Kind::kUndefined);
  explicit Value(TextPtr text) : kind_(Kind::kString), text_(std::move(text)) {}
  explicit Value(ListObject* list) : kind_(Kind::kList) { payload_.list = list; }
  Value(Kind kind, DictObject* dict) : kind_(kind) { payload_.dict = dict; }
  explicit Value(FunctionObject* function) : kind_(Kind::kFunction) { payload_.function = function; }
  explicit Value(LoopObject* loop) : kind_(Kind::kLoop) { payload_.loop = loop; }

  Kind kind() const { return kind_; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_float() const { return kind_ == Kind::kFloat; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_list() const { return kind_ == Kind::kList; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  // int or bool, as Python's isinstance(x, int) has it.
  bool is_integral() const { return is_int() || is_bool(); }
  bool is_number() const { return is_integral() || is_float(); }

  // Each needs its kind; integer() takes a bool too, and number() any number.
  bool boolean() const { return payload_.integer != 0; }
  int64_t integer() const { return payload_.integer; }
  double number() const { return is_float() ? payload_.real : static_cast<double>(payload_.integer); }
  const Text& text() const { return *text_; }
  std::string_view view() const { return text_->view(); }
  ListObject& list() const { return *payload_.list; }
  DictObject& dict() const { return *payload_.dict; }  // kDict and kNamespace
  FunctionObject& function() const { return *payload_.function; }
  LoopObject& loop() const { return *payload_.loop; }
  const TextPtr& undefined_name() const { return text_; }
  Kind undefined_owner() const { return static_cast<Kind>(payload_.integer); }
  // Same object (containers) or same scalar of the same kind.
  bool Is(const Value& other) const;

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  union {
    int64_t integer = 0;
    double real;
    ListObject* list;
    DictObject* dict;
    FunctionObject* function;
    LoopObject* loop;
  } payload_;
  TextPtr text_;
};

enum class Flavor : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kIterator };

struct ListObject {
  Flavor flavor = Flavor::kList;
  size_t next = 0;  // kIterator: how many items were already taken
  std::vector<Value> items;
};

// Insertion-ordered mapping; keys are equal as in Python (1 == 1.0 == True).
struct DictObject {
  std::vector<std::pair<Value, Value>> entries;
  std::unordered_multimap<size_t, size_t> index;  // hash to entry, kept from kIndexedSize entries on

  static constexpr size_t kIndexedSize = 12;
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  void Set(const Value& key, Value value);
  bool Erase(const Value& key);

 private:
  size_t Locate(const Value& key) const;
  void Reindex();
};

class Interpreter;
struct MacroDefinition;
struct Scope;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

constexpr size_t kMaxParameters = 6;

// One entry of the tables of filters, tests, methods and global functions.
struct Builtin {
  std::string_view name;
  // `self` is the value on the left (filters, tests, methods). `bound` has one pointer per parameter, null where it was
  // not given; entries that take any arguments (`parameters` empty and `variadic`) read `raw`.
  using Function = Value (*)(Interpreter& interpreter, const Value& self,
                             const std::array<const Value*, kMaxParameters>& bound, const Arguments& raw);
  Function function;
  size_t required = 0;
  std::array<std::string_view, kMaxParameters> parameters = {};
  bool variadic = false;
};

struct FunctionObject {
  const Builtin* builtin = nullptr;
  Value self;  // the value a method is bound to
  const MacroDefinition* macro = nullptr;
  Scope* closure = nullptr;
  LoopObject* recursion = nullptr;  // set on the function that a recursive loop is called by
};

struct LoopObject {
  std::vector<Value> items;
  size_t index0 = 0;
  int depth0 = 0;
  const void* statement = nullptr;  // the For node when the loop is recursive, else null
  Scope* scope = nullptr;           // where a recursive call evaluates the body
  bool changed_called = false;
  std::vector<Value> changed_values;
};

// Owns the containers of one render; nothing is freed before the render ends, so cycles are harmless.
class Heap {
 public:
  ListObject* NewList(Flavor flavor, std::vector<Value> items);
  DictObject* NewDict();
  FunctionObject* NewFunction();
  LoopObject* NewLoop();

 private:
  std::vector<std::unique_ptr<ListObject>> lists_;
  std::vector<std::unique_ptr<DictObject>> dicts_;
  std::vector<std::unique_ptr<FunctionObject>> functions_;
  std::vector<std::unique_ptr<LoopObject>> loops_;
};

bool Truthy(const Value& value);
// The name Python gives to the type: "str", "dict", "NoneType".
std::string_view TypeName(const Value& value);
std::string_view TypeName(Kind kind);

// Containers nested deeper than this compare unequal, hash alike and can't be printed.
constexpr int kMaxValueDepth = 200;

// Python's ==. `depth` guards against values that contain themselves; `work`, when given, is lowered by one per
// comparison of an element, and at zero everything compares unequal, so that shared structure can't make it
// exponential.
bool Equal(const Value& a, const Value& b, int64_t* work = nullptr, int depth = 0);
size_t Hash(const Value& value);
// Lists and dicts can't be keys, nor can tuples nested more than 4 deep.
bool Hashable(const Value& value, int depth = 0);

// Appends str(value) or repr(value). False when the value is nested too deeply or the text would pass max_bytes.
bool AppendStr(const Value& value, size_t max_bytes, Text& out);
bool AppendRepr(const Value& value, size_t max_bytes, Text& out, int depth = 0);
// repr(float): the shortest text that reads back as the same number.
std::string FormatFloat(double value);

}  // namespace millrace::jinja
