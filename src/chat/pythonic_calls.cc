// kPythonic: [name(key=value, ...), ...], or one such call without brackets after a tag.
#include <utility>

#include "chat/call_readers.h"
#include "chat/literal.h"
#include "chat/marker_matcher.h"

namespace millrace {
namespace {

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

class PythonicCalls : public CallReader {
 public:
  PythonicCalls(const ToolFormat& format, CallSink& sink) : format_(format), sink_(sink) {
    matcher_.Set({&format.call_end});
  }

  JsonStep Feed(char c) override {
    switch (state_) {
      case State::kStart:
        if (IsBlank(c)) return JsonStep::kMore;
        state_ = State::kName;
        in_list_ = c == '[';
        return in_list_ ? JsonStep::kMore : Feed(c);
      case State::kName:
        return FeedName(c);
      case State::kKey:
        return FeedKey(c);
      case State::kValue:
        return FeedValue(c);
      case State::kTail: {
        std::string ignored;
        return matcher_.Feed(c, ignored) != nullptr ? JsonStep::kLast : JsonStep::kMore;
      }
      case State::kAfterCall:
        break;
    }
    if (IsBlank(c)) return JsonStep::kMore;
    if (c == ']' && in_list_) return EndList();
    if (c != ',' && !(c == ';' && !in_list_)) return in_list_ ? JsonStep::kBad : JsonStep::kBefore;
    state_ = State::kName;
    return JsonStep::kMore;
  }

 private:
  enum class State : uint8_t { kStart, kName, kKey, kValue, kAfterCall, kTail };

  JsonStep EndList() {
    state_ = State::kTail;
    return format_.call_end.empty() ? JsonStep::kLast : JsonStep::kMore;
  }

  JsonStep FeedName(char c) {
    if (IsBlank(c) && name_.empty()) return JsonStep::kMore;
    if (c == ']' && name_.empty() && in_list_ && reported_) return EndList();
    if (c == '(' && !name_.empty()) {
      if (name_.ends_with(".call") && !in_list_) name_.resize(name_.size() - 5);
      if (name_.empty()) return JsonStep::kBad;
      num_arguments_ = 0;
      state_ = State::kKey;
      return JsonStep::kMore;
    }
    name_ += c;
    return IsNameByte(c) && name_.size() <= kMaxCallNameBytes ? JsonStep::kMore : JsonStep::kBad;
  }

  // "name(" alone may be prose; a key or the end of an empty call makes it a call.
  void Report() {
    if (name_.empty()) return;
    reported_ = true;
    sink_.OnCall("", std::exchange(name_, ""));
    sink_.OnArguments("{");
  }

  JsonStep FeedKey(char c) {
    if (IsBlank(c)) return JsonStep::kMore;
    if (c == ')' && key_.empty()) return EndCall();
    if (c == '=' && !key_.empty()) {
      Report();
      sink_.OnArguments((num_arguments_++ == 0 ? "" : ", ") + JsonQuote(std::exchange(key_, "")) + ": ");
      state_ = State::kValue;
      return JsonStep::kMore;
    }
    key_ += c;
    return IsNameByte(c) && key_.size() <= kMaxCallNameBytes ? JsonStep::kMore : JsonStep::kBad;
  }

  JsonStep FeedValue(char c) {
    if (quote_ != 0) {
      const bool escaped = std::exchange(escaped_, false);
      escaped_ = !escaped && c == '\\';
      if (!escaped && c == quote_) quote_ = 0;
    } else if (c == '"' || c == '\'') {
      quote_ = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth_;
    } else if (depth_ == 0 && (c == ',' || c == ')')) {
      EndValue();
      state_ = State::kKey;
      return c == ')' ? EndCall() : JsonStep::kMore;
    } else if (c == ')' || c == ']' || c == '}') {
      if (--depth_ < 0) return JsonStep::kBad;
    }
    value_ += c;
    return value_.size() <= kMaxValueBytes ? JsonStep::kMore : JsonStep::kBad;
  }

  // A value that is no literal, a bare word for instance, is a string.
  void EndValue() {
    const std::string text = std::exchange(value_, "");
    const auto literal = LiteralToJson(text);
    sink_.OnArguments(literal.has_value() ? *literal : JsonQuote(text));
  }

  JsonStep EndCall() {
    Report();
    sink_.OnArguments("}");
    state_ = State::kAfterCall;
    return JsonStep::kMore;
  }

  const ToolFormat& format_;
  CallSink& sink_;
  State state_ = State::kStart;
  bool in_list_ = false;
  bool reported_ = false;
  int num_arguments_ = 0;
  std::string name_;
  std::string key_;
  std::string value_;
  char quote_ = 0;
  bool escaped_ = false;
  int depth_ = 0;
  MarkerMatcher matcher_;
};

}  // namespace

std::unique_ptr<CallReader> MakePythonicReader(const ToolFormat& format, CallSink& sink) {
  return std::make_unique<PythonicCalls>(format, sink);
}

}  // namespace millrace
