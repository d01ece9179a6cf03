// Patterns that are one character class with a quantifier, read from their regular expression.
#include <algorithm>
#include <array>
#include <optional>

#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

// A set of characters: ranges and property flags, possibly negated.
class CharSet {
 public:
  void AddRange(uint32_t low, uint32_t high) { ranges_.push_back({low, high}); }
  void AddFlags(uint8_t flags) { flags_ |= flags; }
  void set_negated(bool negated) { negated_ = negated; }

  void Seal() {
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
    std::vector<Range> merged;
    for (const Range& range : ranges_) {
      if (!merged.empty() && range.low <= merged.back().high) {
        merged.back().high = std::max(merged.back().high, range.high);
      } else {
        merged.push_back(range);
      }
    }
    ranges_ = std::move(merged);
    for (uint32_t c = 0; c < ascii_.size(); ++c) ascii_[c] = Search(c);
  }

  bool Contains(uint32_t code) const { return code < ascii_.size() ? ascii_[code] : Search(code); }

 private:
  struct Range {
    uint32_t low, high;
  };

  bool Search(uint32_t code) const {
    if (code == kInvalidChar) return negated_;
    bool inside = (CharTable::Get().Flags(code) & flags_) != 0;
    if (!inside) {
      const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                                          [](uint32_t value, const Range& range) { return value < range.low; });
      inside = after != ranges_.begin() && code <= std::prev(after)->high;
    }
    return inside != negated_;
  }

  std::vector<Range> ranges_;
  uint8_t flags_ = 0;
  bool negated_ = false;
  std::array<bool, 128> ascii_ = {};
};

struct ClassRun {
  enum class Lead { kNone, kSpace, kAnySpace };
  Lead lead = Lead::kNone;
  CharSet set;
  uint32_t min_count = 1;
  uint32_t max_count = 1;  // 0: no limit
};

// Reads the expression from left to right; every method leaves `rest_` unchanged when it answers false.
class ClassParser {
 public:
  explicit ClassParser(std::string_view regex) : rest_(regex) {}

  std::optional<ClassRun> Parse() {
    ClassRun run;
    if (Consume("\\s?")) {
      run.lead = ClassRun::Lead::kAnySpace;
    } else if (Consume(" ?")) {
      run.lead = ClassRun::Lead::kSpace;
    }
    if (Consume("[")) {
      if (!ParseBracket(&run.set)) return std::nullopt;
    } else if (!ParseEscape(&run.set)) {
      return std::nullopt;
    }
    if (!ParseQuantifier(&run) || !rest_.empty()) return std::nullopt;
    run.set.Seal();
    return run;
  }

 private:
  bool Consume(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  // \p{X} or \s into the set.
  bool ParseEscape(CharSet* set) {
    static constexpr struct {
      std::string_view text;
      uint8_t flags;
    } kEscapes[] = {{"\\p{L}", kLetter}, {"\\p{N}", kNumber}, {"\\p{M}", kMark}, {"\\p{P}", kPunctuation},
                    {"\\p{S}", kSymbol}, {"\\p{Ll}", kLower}, {"\\s", kSpace}};
    for (const auto& escape : kEscapes) {
      if (Consume(escape.text)) {
        set->AddFlags(escape.flags);
        return true;
      }
    }
    return false;
  }

  // One literal character, escaped or not; nullopt for what this parser does not know.
  std::optional<uint32_t> ParseLiteral() {
    if (rest_.empty()) return std::nullopt;
    if (rest_[0] == '\\') {
      if (rest_.size() < 2) return std::nullopt;
      const char c = rest_[1];
      const bool letter_or_digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      if (letter_or_digit && c != 'r' && c != 'n' && c != 't') return std::nullopt;
      rest_.remove_prefix(2);
      return c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : static_cast<uint32_t>(c);
    }
    const Utf8Char c = DecodeUtf8(rest_.data(), rest_.data() + rest_.size());
    if (c.code == kInvalidChar || c.code == '[' || c.code == '&') return std::nullopt;
    rest_.remove_prefix(c.size);
    return c.code;
  }

  bool ParseBracket(CharSet* set) {
    if (Consume("^")) set->set_negated(true);
    if (rest_.empty() || rest_[0] == ']') return false;
    while (!Consume("]")) {
      if (ParseEscape(set)) continue;
      const auto low = ParseLiteral();
      if (!low) return false;
      auto high = low;
      if (rest_.size() >= 2 && rest_[0] == '-' && rest_[1] != ']') {
        rest_.remove_prefix(1);
        high = ParseLiteral();
        if (!high || *high < *low) return false;
      }
      set->AddRange(*low, *high);
    }
    return true;
  }

  bool ParseQuantifier(ClassRun* run) {
    if (Consume("+")) {
      run->max_count = 0;
      return true;
    }
    if (!Consume("{")) return true;
    const bool from_one = Consume("1,");
    if (rest_.size() < 2 || rest_[0] < '1' || rest_[0] > '9' || rest_[1] != '}') return false;
    run->max_count = static_cast<uint32_t>(rest_[0] - '0');
    run->min_count = from_one ? 1 : run->max_count;
    rest_.remove_prefix(2);
    return true;
  }

  std::string_view rest_;
};

class ClassPattern final : public Pattern {
 public:
  explicit ClassPattern(ClassRun run) : run_(std::move(run)) {}

  void FindMatches(std::string_view text, std::vector<Span>* matches) const override {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    for (const char* p = begin; p < end;) {
      const Utf8Char c = DecodeUtf8(p, end);
      const char* q = nullptr;
      if (LeadMatches(c)) q = MatchRun(p + c.size, end);
      if (q == nullptr && run_.set.Contains(c.code)) q = MatchRun(p, end);
      if (q != nullptr) {
        matches->push_back({static_cast<uint32_t>(p - begin), static_cast<uint32_t>(q - begin)});
        p = q;
      } else {
        p += c.size;
      }
    }
  }

 private:
  bool LeadMatches(const Utf8Char& c) const {
    if (run_.lead == ClassRun::Lead::kNone) return false;
    if (run_.lead == ClassRun::Lead::kSpace) return c.code == ' ';
    return (CharTable::Get().Flags(c.code) & kSpace) != 0;
  }

  const char* MatchRun(const char* p, const char* end) const {
    uint32_t count = 0;
    while (p < end && (run_.max_count == 0 || count < run_.max_count)) {
      const Utf8Char c = DecodeUtf8(p, end);
      if (!run_.set.Contains(c.code)) break;
      p += c.size;
      ++count;
    }
    return count >= run_.min_count ? p : nullptr;
  }

  const ClassRun run_;
};

// \s+$ where the text has no line breaks to stop at before its end.
class TrailingSpacePattern final : public Pattern {
 public:
  void FindMatches(std::string_view text, std::vector<Span>* matches) const override {
    const CharTable& table = CharTable::Get();
    size_t start = text.size();
    while (start > 0) {
      size_t previous = start - 1;
      while (previous > 0 && (static_cast<unsigned char>(text[previous]) & 0xC0) == 0x80) --previous;
      const Utf8Char c = DecodeUtf8(text.data() + previous, text.data() + text.size());
      if (previous + c.size != start || !(table.Flags(c.code) & kSpace)) break;
      start = previous;
    }
    if (start < text.size()) matches->push_back({static_cast<uint32_t>(start), static_cast<uint32_t>(text.size())});
  }
};

class LiteralTextPattern final : public Pattern {
 public:
  explicit LiteralTextPattern(std::string_view text) : text_(text) {}
  void FindMatches(std::string_view text, std::vector<Span>* matches) const override {
    if (text_.empty()) return;
    for (size_t at = text.find(text_); at != std::string_view::npos; at = text.find(text_, at + text_.size())) {
      matches->push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + text_.size())});
    }
  }

 private:
  const std::string text_;
};

}  // namespace

std::unique_ptr<Pattern> ParseClassPattern(std::string_view regex) {
  if (regex == "\\s+$") return std::make_unique<TrailingSpacePattern>();
  auto run = ClassParser(regex).Parse();
  return run ? std::make_unique<ClassPattern>(*std::move(run)) : nullptr;
}

std::unique_ptr<Pattern> LiteralPattern(std::string_view text) {
  return std::make_unique<LiteralTextPattern>(text);
}

std::unique_ptr<Pattern> CharacterPattern(uint8_t flags, bool ascii_punctuation) {
  ClassRun run;
  run.set.AddFlags(flags);
  if (ascii_punctuation) {
    for (const auto& [low, high] :
         {std::pair('!', '/'), std::pair(':', '@'), std::pair('[', '`'), std::pair('{', '~')}) {
      run.set.AddRange(static_cast<uint32_t>(low), static_cast<uint32_t>(high));
    }
  }
  run.set.Seal();
  return std::make_unique<ClassPattern>(std::move(run));
}

Result<std::unique_ptr<Pattern>> CompilePattern(std::string_view regex) {
  if (auto scanner = FindScanner(regex)) return scanner;
  if (auto pattern = ParseClassPattern(regex)) return pattern;
  return CompilePcre2(regex);
}

}  // namespace millrace
