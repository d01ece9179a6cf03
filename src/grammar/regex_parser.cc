#include "grammar/regex_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace millrace::grammar {
namespace {

constexpr int kMaxGroupDepth = 100;
constexpr int kMaxRepeat = 100'000;

class Parser {
 public:
  Parser(std::u32string text, const RegexOptions& options, ExprPool& pool)
      : text_(std::move(text)), options_(options), pool_(pool) {}

  Result<std::vector<RegexBranch>> ParseAll() {
    std::vector<RegexBranch> branches;
    do {
      RegexBranch branch;
      branch.anchored = !AtEnd() && Peek() == '^';
      look_aheads_ = &branch.look_aheads;
      ASSIGN_OR_RETURN(branch.body, ParseSequence(0));
      branches.push_back(std::move(branch));
    } while (Accept('|'));
    if (!AtEnd()) return Error("an unmatched )");
    return branches;
  }

 private:
  bool AtEnd() const { return pos_ >= text_.size(); }
  uint32_t Peek(size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : 0; }
  bool Accept(char32_t c) {
    if (AtEnd() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }
  bool AcceptText(std::u32string_view s) {
    if (std::u32string_view(text_).substr(pos_, s.size()) != s) return false;
    pos_ += s.size();
    return true;
  }
  Status Error(std::string_view what) const {
    return InvalidArgument("regular expression: {} at character {}", what, pos_);
  }
  Status Refuse(std::string_view what) const {
    return Unsupported("regular expression: {} at character {} is not supported", what, pos_);
  }
  ExprId CharsOf(CharSet set) { return pool_.Chars(options_.ignore_case ? set.WithAsciiCaseFolded() : std::move(set)); }

  Result<ExprId> ParseChoice(int depth) {
    std::vector<ExprId> branches;
    do {
      ASSIGN_OR_RETURN(ExprId branch, ParseSequence(depth));
      branches.push_back(branch);
    } while (Accept('|'));
    return pool_.Choice(std::move(branches));
  }

  Result<ExprId> ParseSequence(int depth) {
    std::vector<ExprId> items;
    bool at_front = true;  // only anchors and look-aheads so far
    while (!AtEnd() && Peek() != '|' && Peek() != ')') {
      const bool is_look_ahead = Peek() == '(' && Peek(1) == '?' && (Peek(2) == '=' || Peek(2) == '!');
      if (is_look_ahead) {
        if (!at_front || depth > 0) return Refuse("a look-ahead that is not at the front");
        RETURN_IF_ERROR(ParseLookAhead(depth));
        continue;
      }
      if (Peek() != '^') at_front = false;
      ASSIGN_OR_RETURN(ExprId atom, ParseAtom(depth));
      ASSIGN_OR_RETURN(ExprId item, ParseQuantifiers(atom));
      items.push_back(item);
    }
    return pool_.Sequence(std::move(items));
  }

  Status ParseLookAhead(int depth) {
    const bool negative = Peek(2) == '!';
    pos_ += 3;
    std::vector<LookAhead>* outer = std::exchange(look_aheads_, nullptr);
    ASSIGN_OR_RETURN(ExprId body, ParseChoice(depth + 1));
    look_aheads_ = outer;
    if (!Accept(')')) return Error("a missing )");
    outer->push_back({body, negative});
    return OkStatus();
  }

  Result<ExprId> ParseAtom(int depth) {
    const uint32_t c = text_[pos_++];
    switch (c) {
      case '^':
        return pool_.AtStart();
      case '$':
        return pool_.AtEnd();
      case '.':
        return pool_.Chars(options_.dot_all ? CharSet::All() : CharSet::Dot());
      case '(':
        return ParseGroup(depth);
      case '[':
        return ParseClass();
      case '\\':
        return ParseAtomEscape();
      case '*':
      case '+':
      case '?':
        return Error("a quantifier without an atom");
      default:
        return CharsOf(CharSet::Of(c));
    }
  }

  Result<ExprId> ParseGroup(int depth) {
    if (depth >= kMaxGroupDepth) return Refuse("a group nested deeper than 100");
    if (Peek() == '?') {
      if (AcceptText(U"?:")) {
      } else if (AcceptText(U"?P<") || (Peek(1) == '<' && Peek(2) != '=' && Peek(2) != '!' && AcceptText(U"?<"))) {
        while (!AtEnd() && Peek() != '>') ++pos_;
        if (!Accept('>')) return Error("an unfinished group name");
      } else {
        return Refuse("a look-behind, look-ahead or inline flag group");
      }
    }
    ASSIGN_OR_RETURN(ExprId body, ParseChoice(depth + 1));
    if (!Accept(')')) return Error("a missing )");
    return body;
  }

  std::optional<int> ParseNumber() {
    if (Peek() < '0' || Peek() > '9') return std::nullopt;
    int value = 0;
    while (Peek() >= '0' && Peek() <= '9')
      value = std::min(kMaxRepeat + 1, value * 10 + static_cast<int>(Next() - '0'));
    return value;
  }
  uint32_t Next() { return text_[pos_++]; }

  Result<ExprId> ParseQuantifiers(ExprId atom) {
    int min = 0, max = kUnboundedRepeat;
    if (Accept('*')) {
    } else if (Accept('+')) {
      min = 1;
    } else if (Accept('?')) {
      max = 1;
    } else if (Peek() == '{') {
      const size_t start = pos_++;
      const auto low = ParseNumber();
      auto high = low;
      if (low && Accept(',')) {
        high = ParseNumber();
        if (!high && Peek() == '}') high = kUnboundedRepeat;
      } else if (!low && Accept(',')) {
        high = std::nullopt;
      }
      if (!low || !high || !Accept('}')) {  // a literal brace, as both dialects read it
        pos_ = start;
        return atom;
      }
      min = *low;
      max = *high;
      if (min > kMaxRepeat || max > kMaxRepeat) return Refuse("a repetition beyond 100000");
      if (max != kUnboundedRepeat && max < min) return Error("a repetition with its bounds out of order");
    } else {
      return atom;
    }
    if (!Accept('?')) Accept('+');  // laziness and possession don't change the language of a full match
    if (Peek() == '*' || Peek() == '+') return Error("two quantifiers");
    return pool_.Repeat(atom, min, max);
  }

  Result<uint32_t> ParseHex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const uint32_t c = Peek();
      const uint32_t lower = c | 0x20;
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + (lower - 'a' + 10);
      } else {
        return Error("a bad hexadecimal escape");
      }
      ++pos_;
    }
    return value;
  }

  // After the backslash: a single character escape.
  Result<uint32_t> ParseCharEscape() {
    const uint32_t c = Next();
    switch (c) {
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'a':
        return 7u;
      case '0':
        return 0u;
      case 'x':
        return ParseHex(2);
      case 'U':
        return ParseHex(8);
      case 'u': {
        if (Accept('{')) {
          uint32_t value = 0;
          int digits = 0;
          while (!AtEnd() && Peek() != '}' && digits++ < 6) {
            ASSIGN_OR_RETURN(uint32_t digit, ParseHex(1));
            value = value * 16 + digit;
          }
          if (!Accept('}') || value > kMaxCodePoint) return Error("a bad \\u{} escape");
          return value;
        }
        ASSIGN_OR_RETURN(uint32_t value, ParseHex(4));
        if (value >= 0xD800 && value < 0xDC00 && Peek() == '\\' && Peek(1) == 'u') {
          pos_ += 2;
          ASSIGN_OR_RETURN(uint32_t low, ParseHex(4));
          if (low < 0xDC00 || low > 0xDFFF) return Error("an unpaired surrogate");
          return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
        }
        return value;
      }
      case 'c': {
        const uint32_t letter = Peek() | 0x20;
        if (letter < 'a' || letter > 'z') return Error("a bad control escape");
        ++pos_;
        return letter - 'a' + 1;
      }
      default:
        if (c >= '1' && c <= '9') return Refuse("a back-reference");
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 128) return Refuse("an unknown escape");
        return c;
    }
  }

  // After the backslash: \d and its kin.
  Result<std::optional<CharSet>> ParseClassEscape() {
    const uint32_t c = Peek();
    std::optional<CharSet> set;
    switch (c | 0x20) {
      case 'd':
        set = CharSet::Digits();
        break;
      case 'w':
        set = CharSet::WordChars();
        break;
      case 's':
        set = CharSet::WhiteSpace();
        break;
      case 'p': {
        ++pos_;
        std::string name;
        if (Accept('{')) {
          while (!AtEnd() && Peek() != '}') AppendUtf8(Next(), name);
          if (!Accept('}')) return Error("an unfinished \\p{");
        } else if (!AtEnd()) {
          AppendUtf8(Next(), name);
        }
        ASSIGN_OR_RETURN(CharSet property, CharSet::UnicodeProperty(name));
        return std::optional<CharSet>(c == 'P' ? property.Complement() : std::move(property));
      }
      default:
        return std::optional<CharSet>();
    }
    ++pos_;
    if (c < 'a') set = set->Complement();
    return set;
  }

  Result<ExprId> ParseAtomEscape() {
    if (AtEnd()) return Error("a trailing backslash");
    if (Peek() == 'b' || Peek() == 'B') return Refuse("a word boundary");
    if (Peek() == 'A' || Peek() == 'Z' || Peek() == 'z') {
      return Next() == 'A' ? pool_.AtStart() : pool_.AtEnd();
    }
    if (Peek() == 'k') return Refuse("a named back-reference");
    ASSIGN_OR_RETURN(std::optional<CharSet> set, ParseClassEscape());
    if (set) return pool_.Chars(*std::move(set));
    ASSIGN_OR_RETURN(uint32_t c, ParseCharEscape());
    return CharsOf(CharSet::Of(c));
  }

  Result<ExprId> ParseClass() {
    const bool negated = Accept('^');
    CharSet set;
    bool first = true;
    while (first || Peek() != ']' || AtEnd()) {
      if (AtEnd()) return Error("an unfinished character class");
      if (first && Peek() == ']') break;  // ECMA: [] is empty, [^] is everything
      first = false;
      std::optional<uint32_t> low;
      ASSIGN_OR_RETURN(CharSet item, ParseClassItem(low));
      if (low && Peek() == '-' && Peek(1) != ']' && pos_ + 1 < text_.size()) {
        ++pos_;
        std::optional<uint32_t> high;
        ASSIGN_OR_RETURN(CharSet other, ParseClassItem(high));
        if (high) {
          if (*high < *low) return Error("a character range out of order");
          item = CharSet({{*low, *high}});
        } else {
          item = item.Union(other).Union(CharSet::Of('-'));
        }
      }
      set = set.Union(item);
    }
    ++pos_;
    if (options_.ignore_case) set = set.WithAsciiCaseFolded();
    return pool_.Chars(negated ? set.Complement() : set.Intersect(CharSet::All()));
  }

  Result<CharSet> ParseClassItem(std::optional<uint32_t>& single) {
    uint32_t c = Next();
    if (c == '[' && Peek() == ':') return Refuse("a POSIX class");
    if (c == '\\') {
      if (AtEnd()) return Error("a trailing backslash");
      if (Accept('b')) {
        c = 8;
      } else {
        ASSIGN_OR_RETURN(std::optional<CharSet> set, ParseClassEscape());
        if (set) return *std::move(set);
        ASSIGN_OR_RETURN(c, ParseCharEscape());
      }
    }
    single = c;
    return CharSet::Of(c);
  }

  const std::u32string text_;
  const RegexOptions options_;
  ExprPool& pool_;
  size_t pos_ = 0;
  std::vector<LookAhead>* look_aheads_ = nullptr;
};

}  // namespace

Result<std::vector<RegexBranch>> ParseRegex(std::string_view pattern, const RegexOptions& options, ExprPool& pool) {
  ASSIGN_OR_RETURN(std::u32string text, DecodeUtf8(pattern));
  if (text.size() > 100'000)
    return Unsupported("a regular expression of {} characters, expected at most 100000", text.size());
  return Parser(std::move(text), options, pool).ParseAll();
}

}  // namespace millrace::grammar
