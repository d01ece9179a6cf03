// kJson and kNamed: calls whose arguments are one JSON value.
#include <optional>
#include <utility>

#include "chat/call_readers.h"
#include "chat/literal.h"
#include "chat/marker_matcher.h"

namespace millrace {
namespace {

std::string Trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

class JsonCalls : public CallReader {
 public:
  JsonCalls(const ToolFormat& format, CallSink& sink, bool bare) : format_(format), sink_(sink), bare_(bare) {
    matcher_.Set({&format.call_end});
  }

  JsonStep Feed(char c) override {
    switch (state_) {
      case State::kStart:
        return FeedStart(c);
      case State::kObject:
        return FeedObject(c);
      default:
        return FeedTail(c);
    }
  }

 private:
  enum class State : uint8_t { kStart, kObject, kTail };

  JsonStep FeedStart(char c) {
    if (IsBlank(c)) return JsonStep::kMore;
    if (c == '[' && !in_array_ && !reported_) {
      in_array_ = true;
      return JsonStep::kMore;
    }
    if (c == ']' && in_array_) return EndArray();
    if (c != '{') return Broken(c);
    reader_.emplace(sink_, bare_);
    state_ = State::kObject;
    return FeedObject(c);
  }

  JsonStep FeedObject(char c) {
    const JsonStep step = reader_->Feed(c);
    reported_ = reported_ || reader_->reported();
    if (step == JsonStep::kBad) return Broken(c);
    if (step == JsonStep::kLast) state_ = State::kTail;
    return JsonStep::kMore;
  }

  JsonStep EndArray() {
    in_array_ = false;
    state_ = State::kTail;
    return format_.call_end.empty() ? JsonStep::kLast : JsonStep::kMore;
  }

  // After a call was reported, a closing marker can still be found; before, this is no call.
  JsonStep Broken(char c) {
    if (!reported_ || format_.call_end.empty()) return JsonStep::kBad;
    in_array_ = false;
    state_ = State::kTail;
    return FeedTail(c);
  }

  JsonStep FeedTail(char c) {
    if (!format_.call_end.empty() && !in_array_) {
      std::string ignored;
      return matcher_.Feed(c, ignored) != nullptr ? JsonStep::kLast : JsonStep::kMore;
    }
    if (IsBlank(c)) return JsonStep::kMore;
    if (c == ']' && in_array_) return EndArray();
    if (c == ',' || (c == ';' && !in_array_)) {
      state_ = State::kStart;
      return JsonStep::kMore;
    }
    return in_array_ ? Broken(c) : JsonStep::kBefore;
  }

  const ToolFormat& format_;
  CallSink& sink_;
  const bool bare_;
  State state_ = State::kStart;
  bool in_array_ = false;
  bool reported_ = false;
  std::optional<JsonCallReader> reader_;
  MarkerMatcher matcher_;
};

class NamedCalls : public CallReader {
 public:
  NamedCalls(const ToolFormat& format, CallSink& sink, bool in_call)
      : format_(format), sink_(sink), single_(in_call || format.section_begin.empty()) {
    Enter(single_ ? State::kName : State::kBetween);
  }

  JsonStep Feed(char c) override {
    if (state_ == State::kArguments) return FeedArguments(c);
    std::string passed;
    const std::string* marker = matcher_.Feed(c, passed);
    if (state_ == State::kName || state_ == State::kId) {
      std::string& target = state_ == State::kName ? name_ : id_;
      target += passed;
      if (target.size() > kMaxCallNameBytes) return JsonStep::kBad;
    } else if (state_ == State::kBetween && !reported_ && !Trimmed(passed).empty()) {
      return JsonStep::kBad;
    }
    return marker == nullptr ? JsonStep::kMore : OnMarker(marker);
  }

 private:
  enum class State : uint8_t { kBetween, kName, kId, kArguments, kTail };

  void Enter(State state) {
    state_ = state;
    switch (state) {
      case State::kBetween:
        matcher_.Set({&format_.call_begin, &format_.section_end});
        break;
      case State::kName:
        name_.clear();
        id_.clear();
        matcher_.Set({&format_.args_begin, &format_.id_begin, &format_.call_end, &format_.section_end});
        break;
      case State::kId:
        matcher_.Set({&format_.args_begin, &format_.call_end});
        break;
      case State::kTail:
        matcher_.Set({&format_.call_end, &format_.section_end});
        break;
      case State::kArguments:
        scanner_ = JsonValueScanner();
        sent_any_ = false;
        break;
    }
  }

  JsonStep OnMarker(const std::string* marker) {
    if (marker == &format_.call_begin) {
      Enter(State::kName);
      return JsonStep::kMore;
    }
    if (marker == &format_.id_begin) {
      Enter(State::kId);
      return JsonStep::kMore;
    }
    if (marker == &format_.args_begin) {
      if (!format_.content_name.empty() && Trimmed(name_) == format_.content_name) return JsonStep::kLast;
      if (!Report()) return JsonStep::kBad;
      Enter(State::kArguments);
      return JsonStep::kMore;
    }
    // The end of a call or of the section; without arguments when it follows the name.
    if (state_ == State::kName || state_ == State::kId) {
      if (!Report()) return JsonStep::kBad;
      sink_.OnArguments("{}");
    }
    if (marker == &format_.section_end || single_) return JsonStep::kLast;
    Enter(State::kBetween);
    return JsonStep::kMore;
  }

  bool Report() {
    std::string name = Trimmed(name_);
    std::string id = Trimmed(id_);
    if (!format_.name_prefix.empty() && name.starts_with(format_.name_prefix)) {
      // "functions.name:0" is the call's id as a whole.
      const size_t colon = name.rfind(':');
      const bool numbered = colon != std::string::npos && colon + 1 < name.size() &&
                            name.find_first_not_of("0123456789", colon + 1) == std::string::npos;
      if (numbered) id = name;
      name = name.substr(0, numbered ? colon : name.size()).substr(format_.name_prefix.size());
    }
    if (!IsCallName(name)) return false;
    reported_ = true;
    sink_.OnCall(id, name);
    return true;
  }

  JsonStep FeedArguments(char c) {
    const JsonStep step = scanner_.Feed(c);
    if (scanner_.started() && (step == JsonStep::kMore || step == JsonStep::kLast)) {
      sent_any_ = true;
      sink_.OnArguments(std::string_view(&c, 1));
    }
    if (step == JsonStep::kMore) return step;
    if (!sent_any_) sink_.OnArguments("{}");
    const bool replay = step != JsonStep::kLast;
    if (format_.call_end.empty() && (single_ || format_.section_end.empty()))
      return replay ? JsonStep::kBefore : JsonStep::kLast;
    Enter(State::kTail);
    return replay ? Feed(c) : JsonStep::kMore;
  }

  const ToolFormat& format_;
  CallSink& sink_;
  const bool single_;  // one call without a section
  State state_ = State::kBetween;
  bool reported_ = false;
  bool sent_any_ = false;  // of the arguments of this call
  std::string name_;
  std::string id_;
  JsonValueScanner scanner_;
  MarkerMatcher matcher_;
};

}  // namespace

bool IsCallName(std::string_view name) {
  if (name.empty() || name.size() > kMaxCallNameBytes) return false;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) <= ' ' || std::string_view("{}<>()[]\"'`,;=").find(c) != std::string_view::npos) {
      return false;
    }
  }
  return true;
}

std::unique_ptr<CallReader> MakeJsonReader(const ToolFormat& format, CallSink& sink, bool bare) {
  return std::make_unique<JsonCalls>(format, sink, bare);
}

std::unique_ptr<CallReader> MakeNamedReader(const ToolFormat& format, CallSink& sink, bool in_call) {
  return std::make_unique<NamedCalls>(format, sink, in_call);
}

}  // namespace millrace
