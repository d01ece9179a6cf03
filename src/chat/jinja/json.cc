#include "chat/jinja/json.h"

#include <algorithm>
#include <cmath>

#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Interpreter& interpreter, const JsonStyle& style) : interpreter_(interpreter), style_(style) {}

  bool Write(const Value& value, int depth) {
    if (!interpreter_.Charge(1)) return false;
    if (depth > kMaxValueDepth) return Error("a value is nested too deeply for JSON");
    if (out_.size() > interpreter_.limits().max_output_bytes) return Error("JSON is longer than max_output_bytes");
    if (value.is_string()) {
      WriteString(value.text());
      return true;
    }
    if (value.is_list()) {
      if (value.list().flavor <= Flavor::kTuple) return WriteList(value.list(), depth);
      return Error(fmt::format("object of type {} is not JSON serializable", TypeName(value)));
    }
    if (value.is_dict()) return WriteDict(value.dict(), depth);
    const std::string scalar = Scalar(value);
    if (scalar.empty()) return Error(fmt::format("object of type {} is not JSON serializable", TypeName(value)));
    out_ += scalar;
    return true;
  }

  std::string& out() { return out_; }
  bool tainted() const { return tainted_; }

 private:
  bool Error(std::string message) {
    interpreter_.FailWith(StatusCode::kInvalidArgument, std::move(message));
    return false;
  }

  static std::string Scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (value.is_bool()) return value.boolean() ? "true" : "false";
    if (value.is_int()) return fmt::format("{}", value.integer());
    if (!value.is_float()) return "";
    if (std::isnan(value.number())) return "NaN";
    if (std::isinf(value.number())) return value.number() < 0 ? "-Infinity" : "Infinity";
    return FormatFloat(value.number());
  }

  void WriteUnicodeEscape(char32_t code) {
    if (code < 0x10000) {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
      return;
    }
    const uint32_t offset = static_cast<uint32_t>(code) - 0x10000;
    out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
  }

  void WriteString(const Text& text) {
    tainted_ = tainted_ || text.any_tainted();
    const std::string_view view = text.view();
    out_ += '"';
    for (size_t i = 0; i < view.size();) {
      const Char c = DecodeAt(view, i);
      static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
      static constexpr std::string_view kTo = "\"\\nrtbf";
      const size_t simple = c.code < 0x80 ? kFrom.find(static_cast<char>(c.code)) : std::string_view::npos;
      if (simple != std::string_view::npos) {
        out_ += '\\';
        out_ += kTo[simple];
      } else if (c.code < 0x20 || (style_.ensure_ascii && c.code >= 0x7F)) {
        WriteUnicodeEscape(c.code);
      } else {
        out_ += view.substr(i, c.size);
      }
      i += c.size;
    }
    out_ += '"';
  }

  void NewLine(int depth) {
    if (!style_.indented) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  bool WriteList(const ListObject& list, int depth) {
    out_ += '[';
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      NewLine(depth + 1);
      if (!Write(list.items[i], depth + 1)) return false;
    }
    if (!list.items.empty()) NewLine(depth);
    out_ += ']';
    return true;
  }

  bool WriteDict(const DictObject& dict, int depth) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto* a, const auto* b) { return interpreter_.Less(a->first, b->first); });
      if (interpreter_.failed()) return false;
    }
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      NewLine(depth + 1);
      const Value& key = entries[i]->first;
      if (key.is_string()) {
        WriteString(key.text());
      } else {
        const std::string scalar = Scalar(key);
        if (scalar.empty())
          return Error(fmt::format("keys must be str, int, float, bool or None, not {}", TypeName(key)));
        out_ += '"' + scalar + '"';
      }
      out_ += style_.key_separator;
      if (!Write(entries[i]->second, depth + 1)) return false;
    }
    if (!entries.empty()) NewLine(depth);
    out_ += '}';
    return true;
  }

  Interpreter& interpreter_;
  const JsonStyle& style_;
  std::string out_;
  bool tainted_ = false;
};

}  // namespace

Value ToJson(Interpreter& interpreter, const Value& value, const JsonStyle& style) {
  JsonWriter writer(interpreter, style);
  if (!writer.Write(value, 0)) return Value();
  return interpreter.MakeString(std::move(writer.out()), writer.tainted());
}

Result<Value> FromJson(const nlohmann::ordered_json& json, bool tainted, Heap& heap, int depth) {
  if (depth > kMaxJsonDepth) return OutOfRange("JSON is nested deeper than {} levels", kMaxJsonDepth);
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.get<uint64_t>() > uint64_t{INT64_MAX}) return Value::Float(json.get<double>());
      return Value::Int(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_float:
      return Value::Float(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return Value::String(json.get_ref<const std::string&>(), tainted);
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& element : json) {
        ASSIGN_OR_RETURN(Value item, FromJson(element, tainted, heap, depth + 1));
        items.push_back(std::move(item));
      }
      return Value(heap.NewList(Flavor::kList, std::move(items)));
    }
    case nlohmann::ordered_json::value_t::object: {
      DictObject* dict = heap.NewDict();
      for (const auto& [key, element] : json.items()) {
        ASSIGN_OR_RETURN(Value item, FromJson(element, tainted, heap, depth + 1));
        dict->Set(Value::String(key, tainted), std::move(item));
      }
      return Value(Kind::kDict, dict);
    }
    default:
      return Value::None();
  }
}

}  // namespace millrace::jinja
