#include "chat/jinja/lexer.h"

#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "chat/jinja/unicode.h"

namespace millrace::jinja {
namespace {

std::string NormalizeNewlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  return out;
}

std::string_view RightStrip(std::string_view text) {
  while (!text.empty()) {
    const Char c = DecodeBefore(text, text.size());
    if (!IsSpace(c.code)) break;
    text.remove_suffix(c.size);
  }
  return text;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsAsciiDigit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> Run() {
    while (pos_ < source_.size()) RETURN_IF_ERROR(LexData());
    Push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  template <typename... Args>
  Status Error(fmt::format_string<Args...> format, Args&&... args) const {
    return InvalidArgument("chat template line {}: {}", line_, fmt::format(format, std::forward<Args>(args)...));
  }

  bool At(std::string_view text) const { return std::string_view(source_).substr(pos_).starts_with(text); }

  void Push(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text), 0, 0}); }

  void Advance(size_t end) {
    for (; pos_ < end; ++pos_) line_ += source_[pos_] == '\n' ? 1 : 0;
  }

  void SkipSpace() {
    while (pos_ < source_.size()) {
      const Char c = DecodeAt(source_, pos_);
      if (!IsSpace(c.code)) return;
      Advance(pos_ + c.size);
    }
  }

  size_t FindTag(size_t from) const {
    for (size_t at = source_.find('{', from); at != std::string::npos; at = source_.find('{', at + 1)) {
      if (at + 1 >= source_.size()) break;
      const char next = source_[at + 1];
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return std::string::npos;
  }

  // Emits text up to a tag, stripped as the tag's sign and lstrip_blocks ask.
  void PushData(size_t end, char sign, bool variable) {
    std::string_view text = std::string_view(source_).substr(pos_, end - pos_);
    if (sign == '-') {
      text = RightStrip(text);
    } else if (sign != '+' && !variable) {
      const size_t line_begin = text.rfind('\n') + 1;
      if (line_begin > 0 || line_starting_) {
        const std::string_view kept = RightStrip(text);
        if (kept.size() <= line_begin) text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) Push(TokenKind::kData, std::string(text));
    Advance(end);
  }

  Status LexData() {
    const size_t tag = FindTag(pos_);
    if (tag == std::string::npos) {
      Push(TokenKind::kData, source_.substr(pos_));
      Advance(source_.size());
      return OkStatus();
    }
    const char kind = source_[tag + 1];
    size_t after = tag + 2;
    const char sign = after < source_.size() && (source_[after] == '-' || source_[after] == '+') ? source_[after] : 0;
    if (sign != 0) ++after;
    if (kind == '%' && RawTagEnd(after) != 0) return LexRaw(tag, sign, RawTagEnd(after));
    PushData(tag, sign, kind == '{');
    Advance(after);
    if (kind == '#') return LexComment();
    Push(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    return LexTag(kind == '{');
  }

  // Where the text after "{% raw %}" begins when `after` (behind "{%") starts one, else 0.
  size_t RawTagEnd(size_t after) const { return WordTagEnd(after, "raw", false); }

  size_t WordTagEnd(size_t at, std::string_view word, bool trim_newline) const {
    const auto skip = [&](size_t from) {
      while (from < source_.size()) {
        const Char c = DecodeAt(source_, from);
        if (!IsSpace(c.code)) break;
        from += c.size;
      }
      return from;
    };
    at = skip(at);
    if (source_.compare(at, word.size(), word) != 0) return 0;
    at = skip(at + word.size());
    if (source_.compare(at, 3, "-%}") == 0) return skip(at + 3);
    if (trim_newline && source_.compare(at, 3, "+%}") == 0) return at + 3;
    if (source_.compare(at, 2, "%}") != 0) return 0;
    at += 2;
    return trim_newline && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  Status LexRaw(size_t tag, char sign, size_t body) {
    PushData(tag, sign, false);
    Advance(body);
    line_starting_ = source_[body - 1] == '\n';
    for (size_t at = source_.find("{%", pos_); at != std::string::npos; at = source_.find("{%", at + 2)) {
      const char end_sign = at + 2 < source_.size() ? source_[at + 2] : 0;
      const bool has_sign = end_sign == '-' || end_sign == '+';
      const size_t end = WordTagEnd(at + 2 + (has_sign ? 1 : 0), "endraw", true);
      if (end == 0) continue;
      PushData(at, has_sign ? end_sign : 0, false);
      Advance(end);
      line_starting_ = source_[end - 1] == '\n';
      return OkStatus();
    }
    // A raw block that nothing follows may stay open, as in Jinja.
    return pos_ == source_.size() ? OkStatus() : Error("missing end of raw directive");
  }

  Status LexComment() {
    const size_t end = source_.find("#}", pos_);
    if (end == std::string::npos) return Error("missing end of comment");
    const char sign = end > pos_ ? source_[end - 1] : 0;
    Advance(end + 2);
    FinishTag(sign, true);
    return OkStatus();
  }

  // After "-%}" whitespace goes; after "%}" and "#}" one newline goes; "+" keeps it.
  void FinishTag(char sign, bool trim_newline) {
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && trim_newline && pos_ < source_.size() && source_[pos_] == '\n') {
      Advance(pos_ + 1);
    }
    line_starting_ = pos_ > 0 && source_[pos_ - 1] == '\n';
  }

  Status LexTag(bool variable) {
    const std::string_view close = variable ? "}}" : "%}";
    brackets_.clear();
    while (true) {
      SkipSpace();
      if (pos_ >= source_.size()) return Error("unexpected end of template inside a tag, expected '{}'", close);
      if (brackets_.empty()) {
        const char sign = source_[pos_] == '-' || (source_[pos_] == '+' && !variable) ? source_[pos_] : 0;
        if (std::string_view(source_).substr(pos_ + (sign != 0 ? 1 : 0)).starts_with(close)) {
          Push(variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, "");
          Advance(pos_ + close.size() + (sign != 0 ? 1 : 0));
          FinishTag(sign, !variable);
          return OkStatus();
        }
      }
      RETURN_IF_ERROR(LexToken());
    }
  }

  Status LexToken() {
    const char c = source_[pos_];
    if (IsAsciiDigit(c)) return LexNumber();
    if (c == '\'' || c == '"') return LexString();
    const Char character = DecodeAt(source_, pos_);
    if (c == '_' || IsAlpha(character.code)) return LexName();
    return LexOperator();
  }

  Status LexName() {
    size_t end = pos_;
    while (end < source_.size()) {
      const Char c = DecodeAt(source_, end);
      if (c.code != '_' && !IsAlpha(c.code) && !IsDigit(c.code)) break;
      end += c.size;
    }
    Push(TokenKind::kName, source_.substr(pos_, end - pos_));
    Advance(end);
    return OkStatus();
  }

  Status LexOperator() {
    static constexpr std::array<std::string_view, 6> kTwo = {"//", "**", "==", "!=", ">=", "<="};
    std::string_view op = std::string_view(source_).substr(pos_, 2);
    bool two = false;
    for (const std::string_view candidate : kTwo) two = two || op == candidate;
    if (!two) op = op.substr(0, 1);
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    if (!two && kOne.find(op) == std::string_view::npos) return Error("unexpected character '{}'", op);
    if (op == "{" || op == "(" || op == "[") {
      if (brackets_.size() >= 256) return Error("brackets are nested deeper than 256");
      brackets_ += op == "{" ? '}' : op == "(" ? ')' : ']';
    } else if (op == "}" || op == ")" || op == "]") {
      if (brackets_.empty() || brackets_.back() != op[0]) return Error("unexpected '{}'", op);
      brackets_.pop_back();
    }
    Push(TokenKind::kOperator, std::string(op));
    Advance(pos_ + op.size());
    return OkStatus();
  }

  // Digits with single underscores between them; returns where they end.
  size_t ScanDigits(size_t at) const {
    while (at < source_.size() && (IsAsciiDigit(source_[at]) ||
                                   (source_[at] == '_' && at + 1 < source_.size() && IsAsciiDigit(source_[at + 1])))) {
      ++at;
    }
    return at;
  }

  Status LexNumber() {
    size_t end = ScanDigits(pos_);
    bool real = false;
    const auto digit_at = [&](size_t at) { return at < source_.size() && IsAsciiDigit(source_[at]); };
    if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
      real = true;
      end = ScanDigits(end + 1);
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      const bool sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
      if (digit_at(end + (sign ? 2 : 1))) {
        real = true;
        end = ScanDigits(end + (sign ? 2 : 1));
      }
    }
    if (!real && source_[pos_] == '0' && end == pos_ + 1) return LexPrefixedInteger();
    std::string digits;
    for (size_t i = pos_; i < end; ++i) {
      if (source_[i] != '_') digits += source_[i];
    }
    Push(real ? TokenKind::kFloat : TokenKind::kInteger, "");
    Token& token = tokens_.back();
    const char* last = digits.data() + digits.size();
    const auto result =
        real ? std::from_chars(digits.data(), last, token.real) : std::from_chars(digits.data(), last, token.integer);
    if (result.ec != std::errc()) return Error("number {} is out of range, expected 64 bits", digits);
    Advance(end);
    return OkStatus();
  }

  Status LexPrefixedInteger() {
    const char prefix = pos_ + 1 < source_.size() ? static_cast<char>(source_[pos_ + 1] | 0x20) : 0;
    const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    size_t end = pos_ + (base == 10 ? 1 : 2);
    uint64_t value = 0;
    for (; base != 10 && end < source_.size(); ++end) {
      if (source_[end] == '_') continue;
      const int digit = HexDigit(source_[end]);
      if (digit < 0 || digit >= base) break;
      if (value > (uint64_t{INT64_MAX} - static_cast<uint64_t>(digit)) / static_cast<uint64_t>(base)) {
        return Error("number is out of range, expected 64 bits");
      }
      value = value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit);
    }
    Push(TokenKind::kInteger, "");
    tokens_.back().integer = static_cast<int64_t>(value);
    Advance(end);
    return OkStatus();
  }

  Status LexString() {
    const char quote = source_[pos_];
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return Error("string is not closed, expected {}", quote);
    std::string value;
    RETURN_IF_ERROR(Unescape(std::string_view(source_).substr(pos_ + 1, end - pos_ - 1), value));
    Push(TokenKind::kString, std::move(value));
    Advance(end + 1);
    return OkStatus();
  }

  // Python's escapes; an unknown one stays as it is.
  Status Unescape(std::string_view raw, std::string& out) const {
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\') {
        out += raw[i];
        continue;
      }
      const char c = raw[++i];
      static constexpr std::string_view kFrom = "abfnrtv\\'\"";
      static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
      const size_t simple = kFrom.find(c);
      const size_t hex_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      if (simple != std::string_view::npos) {
        out += kTo[simple];
      } else if (c == '\n') {
        continue;
      } else if (hex_digits > 0) {
        uint32_t code = 0;
        const std::string_view digits = raw.substr(i + 1, hex_digits);
        const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        const bool bad = result.ptr != digits.data() + hex_digits || digits.size() != hex_digits || code > 0x10FFFF ||
                         (code >= 0xD800 && code < 0xE000);
        if (bad) return Error("truncated or wrong \\{} escape", c);
        AppendUtf8(code, out);
        i += hex_digits;
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        const size_t begin = i;
        for (; i < raw.size() && i < begin + 3 && raw[i] >= '0' && raw[i] <= '7'; ++i) {
          code = code * 8 + static_cast<uint32_t>(raw[i] - '0');
        }
        --i;
        AppendUtf8(code, out);
      } else {
        out += '\\';
        out += c;
      }
    }
    return OkStatus();
  }

  std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;  // the closers that the open brackets of this tag wait for
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source) {
  std::string normalized = NormalizeNewlines(source);
  if (!normalized.empty() && normalized.back() == '\n') normalized.pop_back();
  return Lexer(std::move(normalized)).Run();
}

}  // namespace millrace::jinja
