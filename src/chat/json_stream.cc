#include "chat/json_stream.h"

#include "chat/jinja/unicode.h"
#include "chat/literal.h"

namespace millrace {
namespace {

bool IsScalarByte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' || c == '.';
}

}  // namespace

JsonStep JsonValueScanner::Feed(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      return depth_ == 0 ? JsonStep::kLast : JsonStep::kMore;
    }
    return JsonStep::kMore;
  }
  const bool scalar = started_ && depth_ == 0;
  if (scalar) return IsScalarByte(c) ? JsonStep::kMore : JsonStep::kBefore;
  if (IsBlank(c)) return JsonStep::kMore;
  const bool begins = !started_;
  started_ = true;
  switch (c) {
    case '"':
      in_string_ = true;
      return JsonStep::kMore;
    case '{':
    case '[':
      ++depth_;
      return JsonStep::kMore;
    case '}':
    case ']':
      if (begins) return JsonStep::kBad;
      return --depth_ == 0 ? JsonStep::kLast : JsonStep::kMore;
    case ',':
    case ':':
      return begins ? JsonStep::kBad : JsonStep::kMore;
    default:
      return IsScalarByte(c) ? JsonStep::kMore : JsonStep::kBad;
  }
}

void JsonStringDecoder::FlushSurrogate(std::string& out) {
  if (high_surrogate_ != 0) jinja::AppendUtf8(0xFFFD, out);
  high_surrogate_ = 0;
}

JsonStep JsonStringDecoder::Feed(char c, std::string& out) {
  if (hex_left_ > 0) {
    const char lower = static_cast<char>(c | 0x20);
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(lower >= 'a' && lower <= 'f')) return JsonStep::kBad;
    code_ = code_ * 16 + static_cast<uint32_t>(digit ? c - '0' : lower - 'a' + 10);
    if (--hex_left_ > 0) return JsonStep::kMore;
    if (code_ >= 0xDC00 && code_ < 0xE000 && high_surrogate_ != 0) {
      jinja::AppendUtf8(0x10000 + ((high_surrogate_ - 0xD800) << 10) + (code_ - 0xDC00), out);
      high_surrogate_ = 0;
      return JsonStep::kMore;
    }
    FlushSurrogate(out);
    if (code_ >= 0xD800 && code_ < 0xDC00) {
      high_surrogate_ = code_;
    } else {
      jinja::AppendUtf8(code_ >= 0xDC00 && code_ < 0xE000 ? 0xFFFD : code_, out);
    }
    return JsonStep::kMore;
  }
  if (escaped_) {
    escaped_ = false;
    if (c == 'u') {
      hex_left_ = 4;
      code_ = 0;
      return JsonStep::kMore;
    }
    FlushSurrogate(out);
    static constexpr std::string_view kFrom = "nrtbf\"\\/";
    static constexpr std::string_view kTo = "\n\r\t\b\f\"\\/";
    const size_t known = kFrom.find(c);
    if (known == std::string_view::npos) return JsonStep::kBad;
    out += kTo[known];
    return JsonStep::kMore;
  }
  if (c == '\\') {
    escaped_ = true;
    return JsonStep::kMore;
  }
  FlushSurrogate(out);
  if (c == '"') return JsonStep::kLast;
  out += c;
  return JsonStep::kMore;
}

void JsonCallReader::Report() {
  if (reported_ || name_.empty()) return;
  reported_ = true;
  sink_.OnCall(id_, name_);
  if (!held_.empty()) sink_.OnArguments(held_);
  held_.clear();
}

void JsonCallReader::Arguments(std::string_view bytes) {
  has_arguments_ = true;
  Report();
  if (reported_) {
    sink_.OnArguments(bytes);
  } else {
    held_ += bytes;
  }
}

JsonStep JsonCallReader::EndObject() {
  if (--depth_ > 0) {
    state_ = State::kNext;
    return JsonStep::kMore;
  }
  if (name_.empty() || (needs_arguments_ && !has_arguments_)) return JsonStep::kBad;
  if (!has_arguments_) Arguments("{}");
  Report();
  return JsonStep::kLast;
}

JsonStep JsonCallReader::BeginValue(char c) {
  if (c == '{' && key_ == "function" && depth_ == 1) {
    ++depth_;
    state_ = State::kKeyOrEnd;
    return JsonStep::kMore;
  }
  const bool arguments = key_ == "arguments" || key_ == "parameters";
  const bool name = key_ == "name" || key_ == "tool_name" || (key_ == "function" && depth_ == 1);
  const bool text = name || key_ == "id";
  if (c == '"' && (text || arguments)) {
    decoder_ = JsonStringDecoder();
    if (name) name_.clear();
    state_ = arguments ? State::kDecode : State::kText;
    return JsonStep::kMore;
  }
  if (key_ == "name") return JsonStep::kBad;
  scanner_ = JsonValueScanner();
  state_ = State::kRaw;
  return FeedRaw(c);
}

JsonStep JsonCallReader::FeedRaw(char c) {
  const bool arguments = key_ == "arguments" || key_ == "parameters";
  const JsonStep step = scanner_.Feed(c);
  if (step == JsonStep::kBad) return step;
  if (arguments && step != JsonStep::kBefore) Arguments(std::string_view(&c, 1));
  if (held_.size() > kMaxHeldBytes) return JsonStep::kBad;
  if (step != JsonStep::kMore) state_ = State::kNext;
  return step == JsonStep::kBefore ? Feed(c) : JsonStep::kMore;
}

JsonStep JsonCallReader::FeedText(char c) {
  std::string decoded;
  const JsonStep step = decoder_.Feed(c, decoded);
  if (step == JsonStep::kBad) return step;
  if (state_ == State::kDecode) {
    if (!decoded.empty()) Arguments(decoded);
    if (held_.size() > kMaxHeldBytes) return JsonStep::kBad;
  } else {
    std::string& target = key_ == "id" ? id_ : name_;
    target += decoded;
    if (target.size() > kMaxNameBytes) return JsonStep::kBad;
  }
  if (step == JsonStep::kLast) {
    state_ = State::kNext;
    if (!held_.empty()) Report();
  }
  return JsonStep::kMore;
}

JsonStep JsonCallReader::Feed(char c) {
  if (state_ == State::kText || state_ == State::kDecode) return FeedText(c);
  if (state_ == State::kRaw) return FeedRaw(c);
  if (state_ == State::kKey) {
    if (c == '"') {
      state_ = State::kColon;
      return JsonStep::kMore;
    }
    key_ += c;
    return key_.size() > kMaxNameBytes ? JsonStep::kBad : JsonStep::kMore;
  }
  if (IsBlank(c)) return JsonStep::kMore;
  switch (state_) {
    case State::kObject:
      if (c != '{') return JsonStep::kBad;
      depth_ = 1;
      state_ = State::kKeyOrEnd;
      return JsonStep::kMore;
    case State::kKeyOrEnd:
      if (c == '}') return EndObject();
      if (c != '"') return JsonStep::kBad;
      key_.clear();
      state_ = State::kKey;
      return JsonStep::kMore;
    case State::kColon:
      if (c != ':') return JsonStep::kBad;
      state_ = State::kValue;
      return JsonStep::kMore;
    case State::kValue:
      return BeginValue(c);
    default:
      if (c == '}') return EndObject();
      if (c != ',') return JsonStep::kBad;
      state_ = State::kKeyOrEnd;
      return JsonStep::kMore;
  }
}

}  // namespace millrace
