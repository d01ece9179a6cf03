// Python's operators on values, and the protocols of iteration, length and membership.
#include <algorithm>
#include <cmath>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/text_ops.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {

Value Interpreter::TypeError(char op, const Value& a, const Value& b) {
  if (a.is_undefined()) return FailUndefined(a);
  if (b.is_undefined()) return FailUndefined(b);
  const std::string_view name = op == 'f' ? "//" : op == 'p' ? "**" : std::string_view(&op, 1);
  if (op == '+' && a.is_string()) return Fail("can only concatenate str (not \"{}\") to str", TypeName(b));
  return Fail("unsupported operand types for {}: '{}' and '{}'", name, TypeName(a), TypeName(b));
}

Value Interpreter::AddStrings(const Text& a, const Text& b) {
  if (a.size() + b.size() > limits_.max_output_bytes) {
    return FailWith(StatusCode::kOutOfRange,
                    fmt::format("a string is longer than max_output_bytes = {}", limits_.max_output_bytes));
  }
  Text sum;
  sum.Reserve(a.size() + b.size());
  const bool markup = a.markup() || b.markup();
  sum.Append(markup && !a.markup() ? EscapeHtml(a) : a);
  sum.Append(markup && !b.markup() ? EscapeHtml(b) : b);
  sum.set_markup(markup);
  return MakeString(std::move(sum));
}

Value Interpreter::Repeat(const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const size_t size = value.is_string() ? value.text().size() : value.list().items.size();
  if (size > 0 && static_cast<size_t>(times) > limits_.max_output_bytes / size) {
    return FailWith(StatusCode::kOutOfRange,
                    fmt::format("a repetition is longer than max_output_bytes = {}", limits_.max_output_bytes));
  }
  if (!Charge(size * static_cast<size_t>(times) / 16)) return Value();
  if (value.is_string()) {
    Text text;
    if (size == 0) return value;
    for (int64_t i = 0; i < times; ++i) text.Append(value.text());
    return MakeString(std::move(text));
  }
  if (!ChargeBytes(size * static_cast<size_t>(times) * sizeof(Value))) return Value();
  std::vector<Value> items;
  for (int64_t i = 0; i < times && size > 0; ++i) {
    items.insert(items.end(), value.list().items.begin(), value.list().items.end());
  }
  return MakeList(std::move(items), value.list().flavor);
}

Value Interpreter::IntegerArithmetic(char op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case '+':
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case '-':
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case '*':
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case '/':
      if (b == 0) return Fail("division by zero");
      return Value::Float(static_cast<double>(a) / static_cast<double>(b));
    default: {
      if (b == 0) return Fail("integer division or modulo by zero");
      if (b == -1) return op == '%' ? Value::Int(0) : IntegerArithmetic('-', 0, a);
      const int64_t remainder = a % b;
      const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);
      result = op == '%' ? remainder + (adjust ? b : 0) : a / b - (adjust ? 1 : 0);
    }
  }
  return overflow ? FailWith(StatusCode::kOutOfRange, "an integer is outside of 64 bits") : Value::Int(result);
}

Value Interpreter::FloatArithmetic(char op, double a, double b) {
  switch (op) {
    case '+':
      return Value::Float(a + b);
    case '-':
      return Value::Float(a - b);
    case '*':
      return Value::Float(a * b);
    case '/':
      return b == 0 ? Fail("float division by zero") : Value::Float(a / b);
    case 'f':
      return b == 0 ? Fail("float floor division by zero") : Value::Float(std::floor(a / b));
    default: {
      if (b == 0) return Fail("float modulo by zero");
      const double remainder = std::fmod(a, b);
      return Value::Float(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder);
    }
  }
}

Value Interpreter::Power(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral() && b.integer() >= 0) {
    Value result = Value::Int(1);
    Value base = Value::Int(a.integer());
    for (int64_t exponent = b.integer(); exponent > 0 && !failed(); exponent /= 2) {
      if (exponent % 2 == 1) result = IntegerArithmetic('*', result.integer(), base.integer());
      if (exponent > 1) base = IntegerArithmetic('*', base.integer(), base.integer());
    }
    return failed() ? Value() : result;
  }
  if (a.number() == 0 && b.number() < 0) return Fail("0.0 cannot be raised to a negative power");
  const double result = std::pow(a.number(), b.number());
  return std::isfinite(result) || !std::isfinite(a.number()) || !std::isfinite(b.number())
             ? Value::Float(result)
             : Fail("the result of ** is out of range");
}

Value Interpreter::Binary(char op, const Value& a, const Value& b) {
  if (failed()) return Value();
  if (a.is_number() && b.is_number()) {
    if (op == 'p') return Power(a, b);
    if (a.is_integral() && b.is_integral()) return IntegerArithmetic(op, a.integer(), b.integer());
    return FloatArithmetic(op, a.number(), b.number());
  }
  const auto repeatable = [](const Value& value) {
    return value.is_string() || (value.is_list() && value.list().flavor <= Flavor::kTuple);
  };
  if (op == '+' && a.is_string() && b.is_string()) return AddStrings(a.text(), b.text());
  if (op == '+' && repeatable(a) && a.is_list() && b.is_list() && a.list().flavor == b.list().flavor) {
    std::vector<Value> items = a.list().items;
    items.insert(items.end(), b.list().items.begin(), b.list().items.end());
    return MakeList(std::move(items), a.list().flavor);
  }
  if (op == '*' && repeatable(a) && b.is_integral()) return Repeat(a, b.integer());
  if (op == '*' && repeatable(b) && a.is_integral()) return Repeat(b, a.integer());
  if (op == '%' && a.is_string()) return FormatPercent(*this, a.text(), b);
  return TypeError(op, a, b);
}

bool Interpreter::Equals(const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    if (a.text().size() != b.text().size()) return false;
    Charge(a.text().size() / 64);
    return a.view() == b.view();
  }
  int64_t work = steps_left_;
  const bool equal = Equal(a, b, &work);
  Charge(static_cast<size_t>(steps_left_ - work));
  return equal;
}

// Negative, zero or positive as a is below, equal to or above b; 2 for NaN. Fails when the types have no order.
int Interpreter::Order(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
    const double x = a.number();
    const double y = b.number();
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
  }
  if (a.is_string() && b.is_string()) {
    const int order = a.view().compare(b.view());
    return order < 0 ? -1 : order > 0;
  }
  const bool lists =
      a.is_list() && b.is_list() && a.list().flavor == b.list().flavor && a.list().flavor <= Flavor::kTuple;
  if (!lists) {
    if (a.is_undefined() || b.is_undefined()) {
      FailUndefined(a.is_undefined() ? a : b);
    } else {
      Fail("'{}' and '{}' can't be ordered", TypeName(a), TypeName(b));
    }
    return 0;
  }
  const auto& x = a.list().items;
  const auto& y = b.list().items;
  if (++depth_ > limits_.max_depth) FailWith(StatusCode::kOutOfRange, "lists are nested too deeply to compare");
  int order = x.size() < y.size() ? -1 : x.size() > y.size();
  for (size_t i = 0; i < std::min(x.size(), y.size()) && Charge(1); ++i) {
    if (Equals(x[i], y[i])) continue;
    order = Order(x[i], y[i]);
    break;
  }
  --depth_;
  return order;
}

bool Interpreter::Less(const Value& a, const Value& b) {
  return !failed() && Order(a, b) == -1;
}

bool Interpreter::Compare(CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEq:
      return Equals(a, b);
    case CompareOp::kNe:
      return !Equals(a, b);
    case CompareOp::kLt:
      return Order(a, b) == -1;
    case CompareOp::kLe: {
      const int order = Order(a, b);
      return order == -1 || order == 0;
    }
    case CompareOp::kGt:
      return Order(a, b) == 1;
    case CompareOp::kGe: {
      const int order = Order(a, b);
      return order == 1 || order == 0;
    }
    case CompareOp::kIn:
      return Contains(b, a);
    case CompareOp::kNotIn:
      return !Contains(b, a);
  }
  return false;
}

bool Interpreter::Contains(const Value& container, const Value& item) {
  if (failed()) return false;
  if (container.is_string()) {
    if (!item.is_string()) {
      if (item.is_undefined()) {
        FailUndefined(item);
      } else {
        Fail("'in <string>' requires string as left operand, not {}", TypeName(item));
      }
      return false;
    }
    Charge(container.text().size() / 16);
    return FindBytes(container.view(), item.view()) != std::string_view::npos;
  }
  if (container.is_dict()) {
    if (!Hashable(item)) Fail("unhashable type: '{}'", TypeName(item));
    return !failed() && container.dict().Find(item) != nullptr;
  }
  std::vector<Value> items;
  if (!Iterate(container, items)) return false;
  return std::any_of(items.begin(), items.end(), [&](const Value& other) { return !failed() && Equals(other, item); });
}

bool Interpreter::IsIterable(const Value& value) const {
  return value.is_undefined() || value.is_string() || value.is_list() || value.is_dict();
}

bool Interpreter::Iterate(const Value& value, std::vector<Value>& items) {
  if (failed()) return false;
  if (value.is_string()) {
    if (!ChargeBytes(value.text().size() * sizeof(Value)) || !Charge(value.text().size())) return false;
    for (size_t i = 0; i < value.text().size();) {
      const size_t size = DecodeAt(value.view(), i).size;
      items.push_back(Value::String(value.text().Slice(i, size)));
      i += size;
    }
    return true;
  }
  if (value.is_list()) {
    ListObject& list = value.list();
    const size_t begin = list.flavor == Flavor::kIterator ? std::exchange(list.next, list.items.size()) : 0;
    if (!Charge(list.items.size() - begin)) return false;
    items.assign(list.items.begin() + static_cast<ptrdiff_t>(begin), list.items.end());
    return true;
  }
  if (value.is_dict()) {
    if (!Charge(value.dict().entries.size())) return false;
    for (const auto& entry : value.dict().entries) items.push_back(entry.first);
    return true;
  }
  if (!value.is_undefined()) Fail("'{}' object is not iterable", TypeName(value));
  return !failed();
}

std::optional<size_t> Interpreter::Length(const Value& value) {
  if (failed()) return std::nullopt;
  if (value.is_undefined()) return 0;
  if (value.is_string()) {
    Charge(value.text().size() / 16);
    return CountChars(value.view());
  }
  if (value.is_dict()) return value.dict().entries.size();
  if (value.is_list() && value.list().flavor != Flavor::kIterator) return value.list().items.size();
  Fail("object of type '{}' has no len()", TypeName(value));
  return std::nullopt;
}

}  // namespace millrace::jinja
