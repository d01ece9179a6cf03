// CharSet: a set of Unicode code points (or of bytes, for byte-level automata) as sorted disjoint ranges.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace::grammar {

inline constexpr uint32_t kMaxCodePoint = 0x10FFFF;
inline constexpr uint32_t kSurrogateFirst = 0xD800;
inline constexpr uint32_t kSurrogateLast = 0xDFFF;

struct CharRange {
  uint32_t first = 0;
  uint32_t last = 0;  // inclusive
  bool operator==(const CharRange&) const = default;
};

class CharSet {
 public:
  CharSet() = default;
  // Ranges in any order; overlaps are merged.
  explicit CharSet(std::vector<CharRange> ranges);
  static CharSet Of(uint32_t c) { return CharSet({{c, c}}); }
  // Every scalar value: all code points but the surrogates.
  static CharSet All();

  const std::vector<CharRange>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool Contains(uint32_t c) const;

  CharSet Union(const CharSet& other) const;
  // All() minus this set.
  CharSet Complement() const;
  CharSet Intersect(const CharSet& other) const;
  // Adds the other case of every ASCII letter.
  CharSet WithAsciiCaseFolded() const;

  static CharSet Digits();      // [0-9]
  static CharSet WordChars();   // [A-Za-z0-9_]
  static CharSet WhiteSpace();  // ECMA-262 \s
  static CharSet Dot();         // everything but line terminators
  // \p{name}: a general category or group ("Lu", "L", "Letter"), kUnsupported otherwise.
  static Result<CharSet> UnicodeProperty(std::string_view name);

  bool operator==(const CharSet&) const = default;

 private:
  std::vector<CharRange> ranges_;
};

// Appends the UTF-8 bytes of a scalar value.
void AppendUtf8(uint32_t c, std::string& out);

// Decodes UTF-8; kInvalidArgument on any malformed sequence.
Result<std::u32string> DecodeUtf8(std::string_view text);

}  // namespace millrace::grammar
