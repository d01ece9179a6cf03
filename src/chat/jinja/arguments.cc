#include "chat/jinja/arguments.h"

#include "chat/jinja/text_ops.h"
#include "chat/jinja/unicode.h"

namespace millrace::jinja {

int64_t IntegerOr(Interpreter& interpreter, const Value* argument, int64_t fallback) {
  if (argument == nullptr) return fallback;
  if (argument->is_integral()) return argument->integer();
  interpreter.Fail("expected an integer argument, found {}", TypeName(*argument));
  return fallback;
}

const Text* TextOrNull(Interpreter& interpreter, const Value* argument) {
  if (argument == nullptr || argument->is_none()) return nullptr;
  if (argument->is_string()) return &argument->text();
  if (argument->is_undefined()) {
    interpreter.FailUndefined(*argument);
  } else {
    interpreter.Fail("expected a string argument, found {}", TypeName(*argument));
  }
  return nullptr;
}

TextPtr InputText(Interpreter& interpreter, const Value& self) {
  const Value text = interpreter.ToString(self);
  if (!text.is_string()) return std::make_shared<const Text>();
  interpreter.Charge(text.text().size() / 16);
  return std::make_shared<const Text>(text.text());
}

Value IgnoreCase(Interpreter& interpreter, const Value& value) {
  if (!value.is_string()) return value;
  return interpreter.MakeString(Transform(value.text(), ToLower));
}

Value AttributePath(Interpreter& interpreter, const Value& item, const Value* attribute) {
  if (attribute == nullptr || attribute->is_none()) return item;
  if (!attribute->is_string()) return interpreter.GetItem(item, *attribute);
  Value current = item;
  for (const Text& part : Split(attribute->text(), ".", -1)) {
    const bool digits = !part.empty() && part.view().find_first_not_of("0123456789") == std::string_view::npos;
    const bool index = digits && part.size() < 10;
    current = interpreter.GetItem(current, index ? Value::Int(std::stoi(part.str())) : Value::String(part));
    if (interpreter.failed()) return Value();
  }
  return current;
}

}  // namespace millrace::jinja
