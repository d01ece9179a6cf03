#include "grammar/json_value.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace millrace::grammar {
namespace {

constexpr size_t kMaxJsonDepth = 128;

class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return Add({}) != nullptr; }
  bool boolean(bool v) override { return Add({.type = JsonValue::kBool, .boolean = v}) != nullptr; }
  bool number_integer(int64_t v) override { return AddNumber(std::to_string(v)); }
  bool number_unsigned(uint64_t v) override { return AddNumber(std::to_string(v)); }
  bool number_float(double, const std::string& text) override { return AddNumber(text); }
  bool string(std::string& v) override { return Add({.type = JsonValue::kString, .text = v}) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(JsonValue::kObject); }
  bool start_array(size_t) override { return Open(JsonValue::kArray); }
  bool key(std::string& v) override {
    key_ = v;
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& e) override {
    error_ = InvalidArgument("not JSON at byte {}: {}", position, e.what());
    return false;
  }

  JsonValue root;
  Status error() const { return error_; }

 private:
  bool AddNumber(std::string text) { return Add({.type = JsonValue::kNumber, .text = std::move(text)}) != nullptr; }
  JsonValue* Add(JsonValue value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    JsonValue& parent = *open_.back();
    if (parent.type == JsonValue::kArray) return &parent.items.emplace_back(std::move(value));
    auto& members = parent.members;
    const auto old = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key_; });
    if (old != members.end()) members.erase(old);
    return &members.emplace_back(key_, std::move(value)).second;
  }
  bool Open(JsonValue::Type type) {
    if (open_.size() >= kMaxJsonDepth) {
      error_ = Unsupported("JSON nested deeper than {}", kMaxJsonDepth);
      return false;
    }
    // A parent's vectors don't grow while a child is open, so the pointer stays valid.
    open_.push_back(Add({.type = type}));
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  std::vector<JsonValue*> open_;
  std::string key_;
  Status error_;
};

void AppendCanonical(const JsonValue& value, std::string& out) {
  switch (value.type) {
    case JsonValue::kNull:
      out += 'n';
      break;
    case JsonValue::kBool:
      out += value.boolean ? 't' : 'f';
      break;
    case JsonValue::kNumber: {
      const auto d = ParseDecimal(value.text);
      out += d.ok() ? fmt::format("#{}{}e{}", d->negative ? "-" : "", d->digits, d->exponent) : "#" + value.text;
      break;
    }
    case JsonValue::kString:
      out += fmt::format("${}:{}", value.text.size(), value.text);
      break;
    case JsonValue::kArray:
      out += '[';
      for (const JsonValue& item : value.items) AppendCanonical(item, out);
      out += ']';
      break;
    case JsonValue::kObject: {
      std::map<std::string_view, const JsonValue*> sorted;
      for (const auto& [key, member] : value.members) sorted[key] = &member;
      out += '{';
      for (const auto& [key, member] : sorted) {
        out += fmt::format("{}:{}", key.size(), key);
        AppendCanonical(*member, out);
      }
      out += '}';
      break;
    }
  }
}

}  // namespace

const JsonValue* JsonValue::Find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<std::unique_ptr<JsonValue>> ParseJson(std::string_view text) {
  TreeBuilder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return builder.error().ok() ? InvalidArgument("not JSON") : builder.error();
  }
  return std::make_unique<JsonValue>(std::move(builder.root));
}

std::string CanonicalJson(const JsonValue& value) {
  std::string out;
  AppendCanonical(value, out);
  return out;
}

Result<Decimal> ParseDecimal(std::string_view text) {
  Decimal out;
  size_t i = 0;
  if (i < text.size() && text[i] == '-') {
    out.negative = true;
    ++i;
  }
  bool in_fraction = false;
  for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      in_fraction = true;
      continue;
    }
    out.digits += text[i];
    if (in_fraction) --out.exponent;
  }
  if (i < text.size()) {
    int64_t exponent = 0;
    bool negative = false;
    for (++i; i < text.size(); ++i) {
      if (text[i] == '-') negative = true;
      if (text[i] >= '0' && text[i] <= '9') exponent = std::min<int64_t>(1'000'000, exponent * 10 + (text[i] - '0'));
    }
    out.exponent += negative ? -exponent : exponent;
  }
  out.digits.erase(0, std::min(out.digits.find_first_not_of('0'), out.digits.size()));
  while (!out.digits.empty() && out.digits.back() == '0') {
    out.digits.pop_back();
    ++out.exponent;
  }
  if (out.digits.empty()) return Decimal{};
  if (out.exponent > 400 || out.exponent < -400 || out.digits.size() > 400) {
    return Unsupported("the number {} has too many digits, expected at most 400", text.substr(0, 40));
  }
  return out;
}

Result<uint32_t> ToCount(const JsonValue& value) {
  if (!value.is(JsonValue::kNumber)) return InvalidArgument("expected a non-negative integer");
  ASSIGN_OR_RETURN(Decimal d, ParseDecimal(value.text));
  if (!d.is_integer() || d.negative) return InvalidArgument("expected a non-negative integer, found {}", value.text);
  uint64_t count = 0;
  for (char c : d.digits) count = std::min<uint64_t>(UINT32_MAX, count * 10 + static_cast<uint64_t>(c - '0'));
  for (int64_t i = 0; i < d.exponent && count > 0; ++i) count = std::min<uint64_t>(UINT32_MAX, count * 10);
  return static_cast<uint32_t>(std::min<uint64_t>(count, UINT32_MAX - 1));
}

}  // namespace millrace::grammar
