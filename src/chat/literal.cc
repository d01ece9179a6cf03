#include "chat/literal.h"

#include <fmt/format.h>

#include "chat/jinja/unicode.h"

namespace millrace {
namespace {

constexpr int kMaxDepth = 64;

class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : text_(text) {}

  bool Read() {
    if (!Value(0)) return false;
    SkipBlanks();
    return at_ == text_.size();
  }
  std::string& json() { return json_; }

 private:
  void SkipBlanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool Next(char c) {
    SkipBlanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Word(std::string_view word, std::string_view json) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    json_ += json;
    return true;
  }

  bool Value(int depth) {
    SkipBlanks();
    if (depth > kMaxDepth || at_ >= text_.size()) return false;
    const char c = text_[at_];
    if (c == '"' || c == '\'') return String();
    if (c == '[' || c == '(') return List(c == '[' ? ']' : ')', depth);
    if (c == '{') return Dict(depth);
    if (c == '-' || (c >= '0' && c <= '9')) return Number();
    return Word("true", "true") || Word("True", "true") || Word("false", "false") || Word("False", "false") ||
           Word("null", "null") || Word("None", "null");
  }

  size_t Digits() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - begin;
  }

  bool Number() {
    const size_t begin = at_;
    if (text_[at_] == '-') ++at_;
    const size_t first = at_;
    const size_t integer = Digits();
    if (integer == 0 || (integer > 1 && text_[first] == '0')) return false;
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      if (Digits() == 0) return false;
    }
    if (at_ < text_.size() && (text_[at_] | 0x20) == 'e') {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (Digits() == 0) return false;
    }
    json_ += text_.substr(begin, at_ - begin);
    return true;
  }

  bool HexEscape(size_t digits) {
    uint32_t code = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      if (at_ >= text_.size()) return false;
      const char c = text_[at_];
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        code = code * 16 + static_cast<uint32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        code = code * 16 + static_cast<uint32_t>(lower - 'a' + 10);
      } else {
        return false;
      }
    }
    if (digits == 4) {
      // A JSON escape, surrogates included, stays what it is.
      json_ += fmt::format("\\u{:04x}", code);
    } else if (digits == 2 && code < 0x80) {
      AppendJsonEscaped(static_cast<char>(code), json_);
    } else if (code <= 0x10FFFF && (code < 0xD800 || code >= 0xE000)) {
      jinja::AppendUtf8(code, json_);
    } else {
      return false;
    }
    return true;
  }

  bool String() {
    const char quote = text_[at_++];
    json_ += '"';
    while (at_ < text_.size() && text_[at_] != quote) {
      const char c = text_[at_++];
      if (c != '\\') {
        AppendJsonEscaped(c, json_);
        continue;
      }
      if (at_ >= text_.size()) return false;
      const char escape = text_[at_++];
      static constexpr std::string_view kFrom = "nrtbf0\\\"'/";
      static constexpr std::string_view kTo("\n\r\t\b\f\0\\\"'/", 10);
      const size_t known = kFrom.find(escape);
      if (known != std::string_view::npos) {
        AppendJsonEscaped(kTo[known], json_);
      } else if (escape == 'x' || escape == 'u' || escape == 'U') {
        if (!HexEscape(escape == 'x' ? 2 : escape == 'u' ? 4 : 8)) return false;
      } else {
        return false;
      }
    }
    if (at_ >= text_.size()) return false;
    ++at_;
    json_ += '"';
    return true;
  }

  bool List(char close, int depth) {
    ++at_;
    json_ += '[';
    for (bool first = true; !Next(close); first = false) {
      if (!first && !Next(',')) return false;
      if (!first && Next(close)) break;
      if (!first) json_ += ", ";
      if (!Value(depth + 1)) return false;
    }
    json_ += ']';
    return true;
  }

  bool Dict(int depth) {
    ++at_;
    json_ += '{';
    for (bool first = true; !Next('}'); first = false) {
      if (!first && !Next(',')) return false;
      if (!first && Next('}')) break;
      if (!first) json_ += ", ";
      SkipBlanks();
      if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\'') || !String()) return false;
      if (!Next(':')) return false;
      json_ += ": ";
      if (!Value(depth + 1)) return false;
    }
    json_ += '}';
    return true;
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string json_;
};

}  // namespace

std::optional<std::string> LiteralToJson(std::string_view text) {
  LiteralReader reader(text);
  if (!reader.Read()) return std::nullopt;
  return std::move(reader.json());
}

std::string_view JsonTypeOf(std::string_view json) {
  switch (json.empty() ? ' ' : json[0]) {
    case '"':
      return "string";
    case '{':
      return "object";
    case '[':
      return "array";
    case 't':
    case 'f':
      return "boolean";
    case 'n':
      return "null";
    default:
      return json.find_first_of(".eE") == std::string_view::npos ? "integer" : "number";
  }
}

void AppendJsonEscaped(char c, std::string& out) {
  static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
  static constexpr std::string_view kTo = "\"\\nrtbf";
  const size_t known = kFrom.find(c);
  if (known != std::string_view::npos) {
    out += '\\';
    out += kTo[known];
  } else if (static_cast<unsigned char>(c) < 0x20) {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  } else {
    out += c;
  }
}

std::string JsonQuote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) AppendJsonEscaped(c, out);
  return out + '"';
}

}  // namespace millrace
