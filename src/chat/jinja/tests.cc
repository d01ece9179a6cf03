// The tests of `value is test`.
#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

template <bool (*Predicate)(const Value&)>
Value Is(Interpreter&, const Value& self, const Bound&, const Arguments&) {
  return Value::Bool(Predicate(self));
}

bool Defined(const Value& value) {
  return !value.is_undefined();
}
bool NotDefined(const Value& value) {
  return value.is_undefined();
}
bool None(const Value& value) {
  return value.is_none();
}
bool String(const Value& value) {
  return value.is_string();
}
bool Mapping(const Value& value) {
  return value.is_dict();
}
bool Number(const Value& value) {
  return value.is_number();
}
bool Integer(const Value& value) {
  return value.is_int();
}
bool FloatNumber(const Value& value) {
  return value.is_float();
}
bool Boolean(const Value& value) {
  return value.is_bool();
}
bool True(const Value& value) {
  return value.is_bool() && value.boolean();
}
bool False(const Value& value) {
  return value.is_bool() && !value.boolean();
}
bool Callable(const Value& value) {
  return value.kind() == Kind::kFunction || value.kind() == Kind::kLoop;
}
bool Escaped(const Value& value) {
  return value.is_string() && value.text().markup();
}
bool Sequence(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_dict() ||
         (value.is_list() && value.list().flavor <= Flavor::kRange);
}

Value Iterable(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return Value::Bool(interpreter.IsIterable(self));
}

// Whether the letters of the text are all of one case, and there is one.
Value CaseTest(Interpreter& interpreter, const Value& self, bool upper) {
  const TextPtr text = InputText(interpreter, self);
  bool found = false;
  for (size_t i = 0; i < text->size();) {
    const Char c = DecodeAt(text->view(), i);
    if (upper ? IsLower(c.code) : IsUpper(c.code)) return Value::Bool(false);
    found = found || (upper ? IsUpper(c.code) : IsLower(c.code));
    i += c.size;
  }
  return Value::Bool(found);
}

Value LowerTest(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return CaseTest(interpreter, self, false);
}

Value UpperTest(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return CaseTest(interpreter, self, true);
}

Value Remainder(Interpreter& interpreter, const Value& self, int64_t divisor, int64_t wanted) {
  const Value remainder = interpreter.Binary('%', self, Value::Int(divisor));
  return Value::Bool(!interpreter.failed() && interpreter.Equals(remainder, Value::Int(wanted)));
}

Value Odd(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return Remainder(interpreter, self, 2, 1);
}

Value Even(Interpreter& interpreter, const Value& self, const Bound&, const Arguments&) {
  return Remainder(interpreter, self, 2, 0);
}

Value DivisibleBy(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  const Value remainder = interpreter.Binary('%', self, *bound[0]);
  return Value::Bool(!interpreter.failed() && interpreter.Equals(remainder, Value::Int(0)));
}

Value SameAs(Interpreter&, const Value& self, const Bound& bound, const Arguments&) {
  return Value::Bool(self.Is(*bound[0]));
}

template <CompareOp op>
Value CompareTo(Interpreter& interpreter, const Value& self, const Bound& bound, const Arguments&) {
  return Value::Bool(interpreter.Compare(op, self, *bound[0]));
}

Value IsFilter(Interpreter&, const Value& self, const Bound&, const Arguments&) {
  return Value::Bool(self.is_string() && FindFilter(self.view()) != nullptr);
}

Value IsTest(Interpreter&, const Value& self, const Bound&, const Arguments&) {
  return Value::Bool(self.is_string() && FindTest(self.view()) != nullptr);
}

constexpr Builtin kTests[] = {
    {"defined", Is<Defined>},
    {"undefined", Is<NotDefined>},
    {"none", Is<None>},
    {"string", Is<String>},
    {"mapping", Is<Mapping>},
    {"number", Is<Number>},
    {"integer", Is<Integer>},
    {"float", Is<FloatNumber>},
    {"boolean", Is<Boolean>},
    {"true", Is<True>},
    {"false", Is<False>},
    {"callable", Is<Callable>},
    {"escaped", Is<Escaped>},
    {"sequence", Is<Sequence>},
    {"iterable", Iterable},
    {"lower", LowerTest},
    {"upper", UpperTest},
    {"odd", Odd},
    {"even", Even},
    {"divisibleby", DivisibleBy, 1, {"num"}},
    {"sameas", SameAs, 1, {"other"}},
    {"filter", IsFilter},
    {"test", IsTest},
    {"in", CompareTo<CompareOp::kIn>, 1, {"seq"}},
    {"==", CompareTo<CompareOp::kEq>, 1, {"other"}},
    {"eq", CompareTo<CompareOp::kEq>, 1, {"other"}},
    {"equalto", CompareTo<CompareOp::kEq>, 1, {"other"}},
    {"!=", CompareTo<CompareOp::kNe>, 1, {"other"}},
    {"ne", CompareTo<CompareOp::kNe>, 1, {"other"}},
    {">", CompareTo<CompareOp::kGt>, 1, {"other"}},
    {"gt", CompareTo<CompareOp::kGt>, 1, {"other"}},
    {"greaterthan", CompareTo<CompareOp::kGt>, 1, {"other"}},
    {">=", CompareTo<CompareOp::kGe>, 1, {"other"}},
    {"ge", CompareTo<CompareOp::kGe>, 1, {"other"}},
    {"<", CompareTo<CompareOp::kLt>, 1, {"other"}},
    {"lt", CompareTo<CompareOp::kLt>, 1, {"other"}},
    {"lessthan", CompareTo<CompareOp::kLt>, 1, {"other"}},
    {"<=", CompareTo<CompareOp::kLe>, 1, {"other"}},
    {"le", CompareTo<CompareOp::kLe>, 1, {"other"}},
};

}  // namespace

std::span<const Builtin> Tests() {
  return kTests;
}

}  // namespace millrace::jinja
