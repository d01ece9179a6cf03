// Global functions, and the lookup of every builtin by name.
#include <array>
#include <ctime>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"

namespace millrace::jinja {
namespace {

// What Jinja's sandbox allows for one range.
constexpr int64_t kMaxRange = 100'000;

Value Range(Interpreter& interpreter, const Value&, const Bound&, const Arguments& raw) {
  if (raw.positional.empty() || raw.positional.size() > 3 || !raw.named.empty()) {
    return interpreter.Fail("range takes 1 to 3 integers");
  }
  int64_t parts[3] = {0, 0, 1};
  for (size_t i = 0; i < raw.positional.size(); ++i) {
    const size_t slot = raw.positional.size() == 1 ? 1 : i;
    parts[slot] = IntegerOr(interpreter, &raw.positional[i], 0);
  }
  const auto [start, stop, step] = std::to_array(parts);
  if (step == 0) return interpreter.Fail("range's step must not be zero");
  std::vector<Value> items;
  for (__int128 at = start; step > 0 ? at < stop : at > stop; at += step) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      return interpreter.FailWith(StatusCode::kOutOfRange, fmt::format("range is longer than {}", kMaxRange));
    }
    items.push_back(Value::Int(static_cast<int64_t>(at)));
  }
  return interpreter.MakeList(std::move(items), Flavor::kRange);
}

// dict(pairs or mapping, name=value, ...): also the arguments of namespace().
DictObject* BuildDict(Interpreter& interpreter, const Arguments& raw) {
  DictObject* dict = interpreter.MakeDict();
  if (raw.positional.size() > 1) interpreter.Fail("dict takes at most one positional argument");
  if (raw.positional.size() == 1 && raw.positional[0].is_dict()) {
    const auto entries = raw.positional[0].dict().entries;
    for (const auto& [key, value] : entries) interpreter.SetItem(*dict, key, value);
  } else if (raw.positional.size() == 1) {
    std::vector<Value> items;
    interpreter.Iterate(raw.positional[0], items);
    for (const Value& item : items) {
      std::vector<Value> pair;
      if (!interpreter.Iterate(item, pair)) break;
      if (pair.size() != 2) {
        interpreter.Fail("dict needs pairs, found {} values", pair.size());
        break;
      }
      interpreter.SetItem(*dict, pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : raw.named) interpreter.SetItem(*dict, Value::String(name, false), value);
  return dict;
}

Value Dict(Interpreter& interpreter, const Value&, const Bound&, const Arguments& raw) {
  return Value(Kind::kDict, BuildDict(interpreter, raw));
}

Value Namespace(Interpreter& interpreter, const Value&, const Bound&, const Arguments& raw) {
  return Value(Kind::kNamespace, BuildDict(interpreter, raw));
}

Value RaiseException(Interpreter& interpreter, const Value&, const Bound& bound, const Arguments&) {
  const TextPtr message = InputText(interpreter, *bound[0]);
  return interpreter.Fail("{}", message->view());
}

Value StrftimeNow(Interpreter& interpreter, const Value&, const Bound& bound, const Arguments&) {
  const Text* format = TextOrNull(interpreter, bound[0]);
  if (format == nullptr || format->empty()) return interpreter.MakeString("", false);
  if (format->size() > 256) return interpreter.Fail("strftime_now takes a format of at most 256 bytes");
  const std::time_t now = interpreter.limits().now.value_or(std::time(nullptr));
  std::tm local = {};
  localtime_r(&now, &local);
  std::array<char, 4096> buffer = {};
  const size_t size = std::strftime(buffer.data(), buffer.size(), format->str().c_str(), &local);
  return interpreter.MakeString(std::string(buffer.data(), size), format->any_tainted());
}

// joiner(sep): nothing on the first call, the separator on every later one. `self` is a list: separator, then a mark.
Value JoinerCall(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  auto& state = self.list().items;
  if (state.size() > 1) return state[0];
  state.push_back(Value::Bool(true));
  return interpreter.MakeString("", false);
}

Value Joiner(Interpreter& interpreter, const Value&, const Bound& bound, const Arguments&) {
  static constexpr Builtin kCall = {"joiner", JoinerCall};
  const Value separator = bound[0] != nullptr ? *bound[0] : interpreter.MakeString(", ", false);
  const Value state = interpreter.MakeList({separator});
  return state.is_list() ? interpreter.MakeFunction(kCall, state) : Value();
}

// cycler(a, b, ...) is a namespace with next(), reset() and current; `self` of its functions is that namespace.
constexpr std::string_view kCyclerItems = " items";
constexpr std::string_view kCyclerAt = " at";

Value MoveCycler(Interpreter& interpreter, const Value& self, bool reset) {
  DictObject& state = self.dict();
  const Value* items = state.Find(kCyclerItems);
  const Value* at = state.Find(kCyclerAt);
  if (items == nullptr || at == nullptr || !items->is_list() || !at->is_integral()) return Value();
  const auto& list = items->list().items;
  const auto next = static_cast<size_t>(reset ? 0 : at->integer() + 1) % list.size();
  const Value current = *state.Find("current");
  interpreter.SetItem(state, Value::String(std::string(kCyclerAt), false), Value::Int(static_cast<int64_t>(next)));
  interpreter.SetItem(state, Value::String("current", false), list[next]);
  return reset ? Value::None() : current;
}

Value CyclerNext(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return MoveCycler(interpreter, self, false);
}

Value CyclerReset(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return MoveCycler(interpreter, self, true);
}

Value Cycler(Interpreter& interpreter, const Value&, const Bound&, const Arguments& raw) {
  static constexpr Builtin kNext = {"next", CyclerNext};
  static constexpr Builtin kReset = {"reset", CyclerReset};
  if (raw.positional.empty()) return interpreter.Fail("cycler needs at least one item");
  const Value cycler(Kind::kNamespace, interpreter.MakeDict());
  const auto set = [&](std::string_view name, Value value) {
    interpreter.SetItem(cycler.dict(), Value::String(std::string(name), false), std::move(value));
  };
  set(kCyclerItems, interpreter.MakeList(raw.positional, Flavor::kTuple));
  set(kCyclerAt, Value::Int(0));
  set("current", raw.positional[0]);
  set("next", interpreter.MakeFunction(kNext, cycler));
  set("reset", interpreter.MakeFunction(kReset, cycler));
  return cycler;
}

constexpr Builtin kGlobals[] = {
    {"range", Range, 0, {}, true},
    {"dict", Dict, 0, {}, true},
    {"namespace", Namespace, 0, {}, true},
    {"raise_exception", RaiseException, 1, {"message"}},
    {"strftime_now", StrftimeNow, 1, {"format"}},
    {"joiner", Joiner, 0, {"sep"}},
    {"cycler", Cycler, 0, {}, true},
};

const Builtin* FindIn(std::span<const Builtin> table, std::string_view name) {
  for (const Builtin& entry : table) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace

std::span<const Builtin> Globals() {
  return kGlobals;
}

const Builtin* FindFilter(std::string_view name) {
  for (const auto table : {TextFilters(), SequenceFilters(), SelectionFilters(), NumberFilters()}) {
    if (const Builtin* found = FindIn(table, name)) return found;
  }
  return nullptr;
}

const Builtin* FindTest(std::string_view name) {
  return FindIn(Tests(), name);
}

const Builtin* FindGlobal(std::string_view name) {
  return FindIn(Globals(), name);
}

const Builtin* FindMethod(const Value& object, std::string_view name) {
  if (object.is_string()) return FindIn(StringMethods(), name);
  return FindIn(ContainerMethods(object.kind(), object.is_list() ? object.list().flavor : Flavor::kList), name);
}

}  // namespace millrace::jinja
