// kXml: calls whose parameters stand in tags, one by one.
#include <algorithm>
#include <utility>

#include "chat/call_readers.h"
#include "chat/literal.h"
#include "chat/marker_matcher.h"
#include "chat/parameter_types.h"

namespace millrace {
namespace {

using Json = nlohmann::ordered_json;

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// The schema of one parameter of one function, or null.
const Json* ParameterSchema(const Json& tools, std::string_view function, const std::string& parameter) {
  if (!tools.is_array()) return nullptr;
  for (const Json& tool : tools) {
    const Json* definition = &tool;
    if (tool.is_object() && tool.contains("function")) definition = &tool["function"];
    if (!definition->is_object() || definition->value("name", Json()) != Json(std::string(function))) continue;
    for (const char* key : {"parameters", "properties"}) {
      const auto found = definition->find(key);
      if (found == definition->end() || !found->is_object()) return nullptr;
      definition = &*found;
    }
    const auto schema = definition->find(parameter);
    return schema == definition->end() ? nullptr : &*schema;
  }
  return nullptr;
}

bool Has(const std::vector<std::string>& types, std::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// The JSON of a value that was written as bare text.
std::string TypedValue(const std::vector<std::string>& types, const std::string& text) {
  std::optional<std::string> literal = LiteralToJson(text);
  if (!literal.has_value()) return JsonQuote(text);
  const std::string_view type = JsonTypeOf(*literal);
  const bool wanted = types.empty() || Has(types, type) || (type == "integer" && Has(types, "number"));
  if (wanted && (type != "string" || types.empty())) return std::move(*literal);
  return Has(types, "string") || types.empty() ? JsonQuote(text) : std::move(*literal);
}

class XmlCalls : public CallReader {
 public:
  XmlCalls(const ToolFormat& format, const Json& tools, CallSink& sink, bool in_call)
      : format_(format), tools_(tools), sink_(sink), single_(in_call || format.section_begin.empty()) {
    Enter(single_ ? State::kName : State::kBetween);
  }

  JsonStep Feed(char c) override {
    std::string passed;
    const std::string* marker = matcher_.Feed(c, passed);
    if (state_ == State::kName || state_ == State::kKey) {
      std::string& target = state_ == State::kName ? name_ : key_;
      target += passed;
      if (target.size() > kMaxCallNameBytes) return JsonStep::kBad;
    } else if (state_ == State::kValue) {
      for (const char byte : passed) ValueByte(byte);
    } else if (state_ == State::kBetween && !reported_ && !Trimmed(passed).empty()) {
      return JsonStep::kBad;
    }
    return marker == nullptr ? JsonStep::kMore : OnMarker(marker);
  }

  void Finish() override {
    if (state_ == State::kValue) {
      for (const char byte : matcher_.Take()) ValueByte(byte);
      EndValue();
    } else if (state_ == State::kParams) {
      sink_.OnArguments("}");
    }
  }

 private:
  enum class State : uint8_t { kBetween, kName, kParams, kKey, kBeforeValue, kValue };

  void Enter(State state) {
    state_ = state;
    switch (state) {
      case State::kBetween:
        matcher_.Set({&format_.call_begin, &format_.section_end});
        break;
      case State::kName:
        name_.clear();
        num_params_ = 0;
        matcher_.Set({&format_.name_end, &format_.param_begin, &format_.call_end});
        break;
      case State::kParams:
        matcher_.Set({&format_.param_begin, &format_.call_end, &format_.section_end});
        break;
      case State::kKey:
        key_.clear();
        matcher_.Set({&format_.param_name_end});
        break;
      case State::kBeforeValue:
        matcher_.Set({&format_.value_begin, &format_.call_end});
        break;
      case State::kValue:
        matcher_.Set({&format_.param_end});
        BeginValue();
        break;
    }
  }

  JsonStep OnMarker(const std::string* marker) {
    if (marker == &format_.call_begin) {
      Enter(State::kName);
      return JsonStep::kMore;
    }
    if (state_ == State::kName) {
      const std::string_view name = Trimmed(name_);
      if (!IsCallName(name)) return JsonStep::kBad;
      reported_ = true;
      sink_.OnCall("", name);
      sink_.OnArguments("{");
    }
    if (marker == &format_.param_begin) {
      Enter(State::kKey);
    } else if (marker == &format_.param_name_end && state_ == State::kKey) {
      Enter(format_.value_begin.empty() ? State::kValue : State::kBeforeValue);
    } else if (marker == &format_.value_begin) {
      Enter(State::kValue);
    } else if (marker == &format_.param_end && state_ == State::kValue) {
      EndValue();
      Enter(State::kParams);
    } else if (marker == &format_.name_end) {
      Enter(State::kParams);
    } else {
      return EndCall(marker);
    }
    return JsonStep::kMore;
  }

  // At call_end or section_end; between calls the latter ends the calls only.
  JsonStep EndCall(const std::string* marker) {
    if (state_ != State::kBetween) sink_.OnArguments("}");
    if (marker == &format_.section_end || single_) return JsonStep::kLast;
    Enter(State::kBetween);
    return JsonStep::kMore;
  }

  void BeginValue() {
    types_ = SchemaTypes(ParameterSchema(tools_, Trimmed(name_), std::string(Trimmed(key_))));
    value_.clear();
    at_start_ = true;
    newline_held_ = false;
    sink_.OnArguments((num_params_++ == 0 ? "" : ", ") + JsonQuote(Trimmed(key_)) + ": ");
    // A string goes out as it comes; the type of anything else shows at its end.
    streams_ = types_.size() == 1 && types_[0] == "string";
    if (streams_) sink_.OnArguments("\"");
  }

  void ValueByte(char c) {
    if (format_.value_newlines) {
      if (std::exchange(at_start_, false) && c == '\n') return;
      if (std::exchange(newline_held_, false)) TakeValueByte('\n');
      if (c == '\n') {
        newline_held_ = true;
        return;
      }
    }
    TakeValueByte(c);
  }

  void TakeValueByte(char c) {
    if (!streams_) {
      value_ += c;
      if (value_.size() <= kMaxValueBytes) return;
      // Too long to wait for its end: it can only be a string.
      streams_ = true;
      std::string quoted = JsonQuote(value_);
      quoted.pop_back();
      sink_.OnArguments(quoted);
      value_.clear();
      return;
    }
    std::string escaped;
    AppendJsonEscaped(c, escaped);
    sink_.OnArguments(escaped);
  }

  void EndValue() { sink_.OnArguments(streams_ ? "\"" : TypedValue(types_, value_)); }

  const ToolFormat& format_;
  const Json& tools_;
  CallSink& sink_;
  const bool single_;  // one call without a section
  State state_ = State::kBetween;
  bool reported_ = false;
  int num_params_ = 0;
  std::string name_;
  std::string key_;
  std::string value_;
  std::vector<std::string> types_;
  bool streams_ = false;
  bool at_start_ = false;
  bool newline_held_ = false;
  MarkerMatcher matcher_;
};

}  // namespace

std::unique_ptr<CallReader> MakeXmlReader(const ToolFormat& format, const nlohmann::ordered_json& tools, CallSink& sink,
                                          bool in_call) {
  return std::make_unique<XmlCalls>(format, tools, sink, in_call);
}

}  // namespace millrace
