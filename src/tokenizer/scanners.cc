// Hand-written matchers for the published pre-tokenizer expressions. Each Match* function returns the end of the match
// that the expression has at p, or null; backtracking is replaced by looking at what the greedy runs would give back.
#include <cstring>

#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

struct Char {
  uint8_t flags;
  uint8_t size;  // 0 at the end of the text
};

class Subject {
 public:
  Subject(std::string_view text)  // NOLINT: a view of the same bytes
      : begin(text.data()), end(text.data() + text.size()), table_(CharTable::Get()), ascii_(table_.ascii()) {}

  Char At(const char* p) const {
    if (p >= end) return {0, 0};
    const unsigned char c = static_cast<unsigned char>(*p);
    if (c < 0x80) return {ascii_[c], 1};
    const Utf8Char decoded = DecodeUtf8(p, end);
    return {table_.Flags(decoded.code), static_cast<uint8_t>(decoded.size)};
  }

  // The end of the run of characters that have a flag of `mask`, or of those that have none.
  const char* SkipAny(const char* p, uint8_t mask) const {
    for (Char c = At(p); c.size > 0 && (c.flags & mask); c = At(p)) p += c.size;
    return p;
  }
  const char* SkipNone(const char* p, uint8_t mask) const {
    for (Char c = At(p); c.size > 0 && !(c.flags & mask); c = At(p)) p += c.size;
    return p;
  }

  const char* const begin;
  const char* const end;

 private:
  const CharTable& table_;
  const uint8_t* const ascii_;
};

constexpr uint8_t kWordOrSpace = kLetter | kNumber | kSpace;

bool IsNewline(char c) {
  return c == '\r' || c == '\n';
}
char FoldAscii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// 's|'t|'re|'ve|'m|'ll|'d at p, where *p is an apostrophe. With ignore_case also U+017F, which folds to s.
const char* MatchContraction(const Subject& s, const char* p, bool ignore_case) {
  const ptrdiff_t left = s.end - p;
  if (left < 2) return nullptr;
  const char a = ignore_case ? FoldAscii(p[1]) : p[1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
  if (left < 3) return nullptr;
  const char b = ignore_case ? FoldAscii(p[2]) : p[2];
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
  if (ignore_case && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
  return nullptr;
}

// \s+(?!\S)|\s+ at p, where the white-space run ends at run_end: all of it at the end of the text, else all but one
// character.
const char* MatchTrailingSpaces(const Subject& s, const char* p, const char* run_end) {
  if (run_end == s.end) return run_end;
  const char* last = run_end - 1;
  while (last > p && (static_cast<unsigned char>(*last) & 0xC0) == 0x80) --last;
  return last > p ? last : run_end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at p, a white-space character.
const char* MatchSpaces(const Subject& s, const char* p) {
  const char* const run_end = s.SkipAny(p, kSpace);
  for (const char* q = run_end; q > p; --q) {
    if (IsNewline(q[-1])) return q;
  }
  return MatchTrailingSpaces(s, p, run_end);
}

// \p{N}{1,max_digits} at p, a number; 0 is no limit.
const char* MatchNumber(const Subject& s, const char* p, int max_digits) {
  if (max_digits == 0) return s.SkipAny(p, kNumber);
  for (int i = 0; i < max_digits; ++i) {
    const Char c = s.At(p);
    if (!(c.flags & kNumber)) break;
    p += c.size;
  }
  return p;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
struct Gpt2 {
  static const char* Match(const Subject& s, const char* p) {
    if (*p == '\'') {
      if (const char* q = MatchContraction(s, p, false)) return q;
    }
    const char* start = *p == ' ' ? p + 1 : p;
    Char c = s.At(start);
    if (c.size > 0 && !(c.flags & kSpace)) {
      if (c.flags & kLetter) return s.SkipAny(start, kLetter);
      if (c.flags & kNumber) return s.SkipAny(start, kNumber);
      return s.SkipNone(start, kWordOrSpace);
    }
    return MatchTrailingSpaces(s, p, s.SkipAny(p, kSpace));
  }
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,MAX}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// With MARKS a word is [\p{L}\p{M}]+ and punctuation excludes marks; without CONTRACTIONS the first alternative is
// missing.
template <int kMaxDigits, bool kContractions, bool kMarks>
struct Llama3 {
  static const char* Match(const Subject& s, const char* p) {
    constexpr uint8_t kWord = kMarks ? kLetter | kMark : kLetter;
    constexpr uint8_t kNotPunctuation = kWord | kNumber | kSpace;
    if (kContractions && *p == '\'') {
      if (const char* q = MatchContraction(s, p, true)) return q;
    }
    const Char c = s.At(p);
    if (c.flags & kWord) return s.SkipAny(p + c.size, kWord);
    if (c.flags & kNumber) return MatchNumber(s, p, kMaxDigits);
    const char* next = p + c.size;
    const Char d = s.At(next);
    if ((d.flags & kWord) && !IsNewline(*p)) return s.SkipAny(next + d.size, kWord);
    const bool space_then_punctuation = *p == ' ' && d.size > 0 && !(d.flags & kNotPunctuation);
    if (space_then_punctuation || !(c.flags & kSpace)) {
      const char* q = s.SkipNone(next, kNotPunctuation);
      while (q < s.end && IsNewline(*q)) ++q;
      return q;
    }
    return MatchSpaces(s, p);
  }
};

// The two letter alternatives of o200k and tekken: B = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], S = [\p{Ll}\p{Lm}\p{Lo}\p{M}],
// [^\r\n\p{L}\p{N}]?B*S+ tried before [^\r\n\p{L}\p{N}]?B+S*.
struct CasedWord {
  static bool IsBig(Char c) { return ((c.flags & kLetter) && !(c.flags & kLower)) || (c.flags & kMark); }
  static bool IsSmall(Char c) { return ((c.flags & kLetter) && !(c.flags & kUpper)) || (c.flags & kMark); }

  // End of B*S+ at p, or null. last_small is where the greedy B* gives back to S+ when no lower-case letter follows it.
  static const char* BigThenSmall(const Subject& s, const char* p) {
    const char* last_small = nullptr;
    Char c = s.At(p);
    for (; c.size > 0 && IsBig(c); c = s.At(p)) {
      p += c.size;
      if (IsSmall(c)) last_small = p;
    }
    if (c.size == 0 || !IsSmall(c)) return last_small;
    for (; c.size > 0 && IsSmall(c); c = s.At(p)) p += c.size;
    return p;
  }

  static const char* BigOnly(const Subject& s, const char* p) {
    const char* q = p;
    for (Char c = s.At(q); c.size > 0 && IsBig(c); c = s.At(q)) q += c.size;
    return q > p ? q : nullptr;
  }

  static const char* Match(const Subject& s, const char* p, Char c) {
    const bool may_lead = !(c.flags & (kLetter | kNumber)) && !IsNewline(*p);
    if (may_lead) {
      if (const char* q = BigThenSmall(s, p + c.size)) return q;
    }
    if (c.flags & (kLetter | kMark)) {
      if (const char* q = BigThenSmall(s, p)) return q;
    }
    if (may_lead) {
      if (const char* q = BigOnly(s, p + c.size)) return q;
    }
    return c.flags & (kLetter | kMark) ? BigOnly(s, p) : nullptr;
  }
};

// CasedWord, then (?i:'s|'t|'re|'ve|'m|'ll|'d)? with CONTRACTIONS, then
// \p{N}{1,MAX}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int kMaxDigits, bool kContractions>
struct O200k {
  static const char* Match(const Subject& s, const char* p) {
    const Char c = s.At(p);
    if (const char* q = CasedWord::Match(s, p, c)) {
      const char* contraction = kContractions && q < s.end && *q == '\'' ? MatchContraction(s, q, true) : nullptr;
      return contraction != nullptr ? contraction : q;
    }
    if (c.flags & kNumber) return MatchNumber(s, p, kMaxDigits);
    const Char d = s.At(p + c.size);
    const bool space_then_punctuation = *p == ' ' && d.size > 0 && !(d.flags & kWordOrSpace);
    if (space_then_punctuation || !(c.flags & kSpace)) {
      const char* q = s.SkipNone(p + c.size, kWordOrSpace);
      while (q < s.end && (IsNewline(*q) || *q == '/')) ++q;
      return q;
    }
    return MatchSpaces(s, p);
  }
};

// [!-/:-~ without letters and digits][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
// ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
struct DeepSeek3 {
  static bool IsAsciiLetter(char c) { return FoldAscii(c) >= 'a' && FoldAscii(c) <= 'z'; }

  static const char* Match(const Subject& s, const char* p) {
    const Char c = s.At(p);
    const char* next = p + c.size;
    if (c.size == 1 && (c.flags & (kPunctuation | kSymbol)) && next < s.end && IsAsciiLetter(*next)) {
      while (next < s.end && IsAsciiLetter(*next)) ++next;
      return next;
    }
    if (c.flags & (kLetter | kMark)) return s.SkipAny(next, kLetter | kMark);
    const Char d = s.At(next);
    if ((d.flags & (kLetter | kMark)) && !(c.flags & (kPunctuation | kSymbol)) && !IsNewline(*p)) {
      return s.SkipAny(next, kLetter | kMark);
    }
    if ((c.flags & (kPunctuation | kSymbol)) || (*p == ' ' && (d.flags & (kPunctuation | kSymbol)))) {
      const char* q = s.SkipAny(next, kPunctuation | kSymbol);
      while (q < s.end && IsNewline(*q)) ++q;
      return q;
    }
    return c.flags & kSpace ? MatchSpaces(s, p) : nullptr;
  }
};

template <typename Matcher>
class Scanner final : public Pattern {
 public:
  void FindMatches(std::string_view text, std::vector<Span>* matches) const override {
    const Subject s(text);
    for (const char* p = s.begin; p < s.end;) {
      if (const char* q = Matcher::Match(s, p)) {
        matches->push_back({static_cast<uint32_t>(p - s.begin), static_cast<uint32_t>(q - s.begin)});
        p = q;
      } else {
        p += s.At(p).size;
      }
    }
  }
};

template <typename Matcher>
std::unique_ptr<Pattern> Make() {
  return std::make_unique<Scanner<Matcher>>();
}

// A published expression, cut where variants differ: prefix + middle + suffix.
struct Known {
  std::string_view regex;
  std::unique_ptr<Pattern> (*make)();
};

#define CONTRACTIONS_I "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CONTRACTIONS_SPELLED "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define LLAMA3_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define LLAMA3_WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define CASED_A R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define CASED_B R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
#define O200K_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define QWEN35_WORD R"([^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"

constexpr Known kKnown[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", &Make<Gpt2>},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", &Make<Gpt2>},
    {CONTRACTIONS_I "|" LLAMA3_WORD R"(|\p{N}{1,3})" LLAMA3_TAIL, &Make<Llama3<3, true, false>>},
    {CONTRACTIONS_SPELLED "|" LLAMA3_WORD R"(|\p{N}{1,3})" LLAMA3_TAIL, &Make<Llama3<3, true, false>>},
    {CONTRACTIONS_I "|" LLAMA3_WORD R"(|\p{N})" LLAMA3_TAIL, &Make<Llama3<1, true, false>>},
    {CONTRACTIONS_SPELLED "|" LLAMA3_WORD R"(|\p{N})" LLAMA3_TAIL, &Make<Llama3<1, true, false>>},
    {CONTRACTIONS_I "|" LLAMA3_WORD R"(|\p{N}+)" LLAMA3_TAIL, &Make<Llama3<0, true, false>>},
    {LLAMA3_WORD R"(|\p{N})" LLAMA3_TAIL, &Make<Llama3<1, false, false>>},
    {CONTRACTIONS_I "|" QWEN35_WORD, &Make<Llama3<1, true, true>>},
    {CASED_A CONTRACTIONS_I "?|" CASED_B CONTRACTIONS_I R"(?|\p{N}{1,3})" O200K_TAIL, &Make<O200k<3, true>>},
    {CASED_A "|" CASED_B R"(|\p{N})" O200K_TAIL, &Make<O200k<1, false>>},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
     "\r\n"
     R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
     "\r\n"
     R"(]*|\s*[)"
     "\r\n"
     R"(]+|\s+(?!\S)|\s+)",
     &Make<DeepSeek3>},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
     &Make<DeepSeek3>},
};

#undef CONTRACTIONS_I
#undef CONTRACTIONS_SPELLED
#undef LLAMA3_TAIL
#undef LLAMA3_WORD
#undef CASED_A
#undef CASED_B
#undef O200K_TAIL
#undef QWEN35_WORD

}  // namespace

std::unique_ptr<Pattern> FindScanner(std::string_view regex) {
  for (const Known& known : kKnown) {
    if (known.regex == regex) return known.make();
  }
  return nullptr;
}

}  // namespace millrace
