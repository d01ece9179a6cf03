// Filters that take a sequence or a mapping apart or put one together.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

Value LengthFilter(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  const auto length = interpreter.Length(self);
  return length.has_value() ? Value::Int(static_cast<int64_t>(*length)) : Value();
}

Value ListFilter(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> items;
  return interpreter.Iterate(self, items) ? interpreter.MakeList(std::move(items)) : Value();
}

Value First(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> items;
  return interpreter.Iterate(self, items) && !items.empty() ? items.front() : Value();
}

Value Last(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  if (self.is_list() && self.list().flavor == Flavor::kIterator)
    return interpreter.Fail("'generator' object is not reversible");
  std::vector<Value> items;
  return interpreter.Iterate(self, items) && !items.empty() ? items.back() : Value();
}

Value Reverse(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  std::reverse(items.begin(), items.end());
  if (!self.is_string()) return interpreter.MakeList(std::move(items), Flavor::kIterator);
  Text text;
  for (const Value& item : items) text.Append(item.text());
  return interpreter.MakeString(std::move(text));
}

Value Join(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  if (!interpreter.Iterate(self, items)) return Value();
  Text separator;
  if (bound[0] != nullptr) separator = *InputText(interpreter, *bound[0]);
  Text out;
  const size_t limit = interpreter.limits().max_output_bytes;
  for (size_t i = 0; i < items.size() && !interpreter.failed(); ++i) {
    if (i > 0) out.Append(separator);
    if (!AppendStr(AttributePath(interpreter, items[i], bound[1]), limit, out) || out.size() > limit) {
      return interpreter.FailWith(StatusCode::kOutOfRange, "join makes a string longer than max_output_bytes");
    }
  }
  return interpreter.MakeString(std::move(out));
}

Value Default(Interpreter&, const Value& self, const Bound& bound, const Arguments&) {
  if (!self.is_undefined() && !(BooleanOr(bound[1], false) && !Truthy(self))) return self;
  return bound[0] != nullptr ? *bound[0] : Value::String("", false);
}

Value ItemsFilter(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  std::vector<Value> pairs;
  if (self.is_dict()) {
    for (const auto& [key, value] : self.dict().entries) {
      pairs.push_back(interpreter.MakeList({key, value}, Flavor::kTuple));
    }
  } else if (!self.is_undefined()) {
    return interpreter.Fail("can only get item pairs from a mapping, found {}", TypeName(self));
  }
  return interpreter.MakeList(std::move(pairs), Flavor::kIterator);
}

Value DictSort(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  if (!self.is_dict()) return interpreter.Fail("dictsort needs a mapping, found {}", TypeName(self));
  const bool case_sensitive = BooleanOr(bound[0], false);
  const bool by_value = bound[1] != nullptr && bound[1]->is_string() && bound[1]->view() == "value";
  if (bound[1] != nullptr && !by_value && !(bound[1]->is_string() && bound[1]->view() == "key")) {
    return interpreter.Fail("dictsort sorts by 'key' or 'value'");
  }
  struct Entry {
    Value key;
    Value pair;
  };
  std::vector<Entry> entries;
  for (const auto& [key, value] : self.dict().entries) {
    const Value& by = by_value ? value : key;
    entries.push_back(
        {case_sensitive ? by : IgnoreCase(interpreter, by), interpreter.MakeList({key, value}, Flavor::kTuple)});
  }
  const bool reverse = BooleanOr(bound[2], false);
  std::stable_sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    return interpreter.Charge(1) && (reverse ? interpreter.Less(b.key, a.key) : interpreter.Less(a.key, b.key));
  });
  std::vector<Value> pairs;
  for (Entry& entry : entries) pairs.push_back(std::move(entry.pair));
  return interpreter.MakeList(std::move(pairs));
}

Value Batch(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  const int64_t size = IntegerOr(interpreter, bound[0], 1);
  if (!interpreter.Iterate(self, items)) return Value();
  if (size < 1 || size > 1 << 20) return interpreter.Fail("batch needs a size between 1 and 2^20, found {}", size);
  std::vector<Value> batches;
  for (size_t i = 0; i < items.size(); i += static_cast<size_t>(size)) {
    const size_t end = std::min(items.size(), i + static_cast<size_t>(size));
    std::vector<Value> batch(items.begin() + static_cast<ptrdiff_t>(i), items.begin() + static_cast<ptrdiff_t>(end));
    if (bound[1] != nullptr && !bound[1]->is_none()) batch.resize(static_cast<size_t>(size), *bound[1]);
    batches.push_back(interpreter.MakeList(std::move(batch)));
  }
  return interpreter.MakeList(std::move(batches), Flavor::kIterator);
}

Value Slice(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  std::vector<Value> items;
  const int64_t slices = IntegerOr(interpreter, bound[0], 1);
  if (!interpreter.Iterate(self, items)) return Value();
  if (slices < 1 || slices > 1 << 16)
    return interpreter.Fail("slice needs between 1 and 65536 slices, found {}", slices);
  const auto count = static_cast<size_t>(slices);
  const size_t extra = items.size() % count;
  std::vector<Value> result;
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t end = begin + items.size() / count + (i < extra ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<ptrdiff_t>(begin), items.begin() + static_cast<ptrdiff_t>(end));
    if (bound[1] != nullptr && !bound[1]->is_none() && i >= extra) part.push_back(*bound[1]);
    result.push_back(interpreter.MakeList(std::move(part)));
    begin = end;
  }
  return interpreter.MakeList(std::move(result), Flavor::kIterator);
}

Value Attr(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Text* name = TextOrNull(interpreter, bound[0]);
  if (name == nullptr) return interpreter.Fail("attr needs a name");
  if (self.is_undefined()) return interpreter.FailUndefined(self);
  // Unlike object.name, the filter doesn't look at the keys of a dict.
  auto key = std::make_shared<const Text>(*name);
  if (self.is_dict() && FindMethod(self, name->view()) == nullptr) return Value::Undefined(key, Kind::kDict);
  return interpreter.GetAttribute(self, key);
}

constexpr Builtin kSequenceFilters[] = {
    {"length", LengthFilter},
    {"count", LengthFilter},
    {"list", ListFilter},
    {"first", First},
    {"last", Last},
    {"reverse", Reverse},
    {"join", Join, 0, {"d", "attribute"}},
    {"default", Default, 0, {"default_value", "boolean"}},
    {"d", Default, 0, {"default_value", "boolean"}},
    {"items", ItemsFilter},
    {"dictsort", DictSort, 0, {"case_sensitive", "by", "reverse"}},
    {"batch", Batch, 1, {"linecount", "fill_with"}},
    {"slice", Slice, 1, {"slices", "fill_with"}},
    {"attr", Attr, 1, {"name"}},
};

}  // namespace

std::span<const Builtin> SequenceFilters() {
  return kSequenceFilters;
}

}  // namespace millrace::jinja
