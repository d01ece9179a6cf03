// UTF-8 and the character properties that tokenizers split on. Properties and normal forms come from utf8proc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

inline constexpr uint32_t kInvalidChar = 0xFFFFFFFF;
inline constexpr std::string_view kReplacementChar = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";        // U+2581, SentencePiece's space

// Property bits of one character, as the classes of the published patterns use them.
enum CharFlag : uint8_t {
  kLetter = 1,        // \p{L}
  kNumber = 2,        // \p{N}
  kSpace = 4,         // \s: the White_Space property
  kMark = 8,          // \p{M}
  kPunctuation = 16,  // \p{P}
  kSymbol = 32,       // \p{S}
  kUpper = 64,        // \p{Lu} or \p{Lt}
  kLower = 128,       // \p{Ll}
};

struct Utf8Char {
  uint32_t code;  // kInvalidChar when the bytes are not UTF-8; then size is 1
  uint32_t size;
};

// The character at p; p < end. Overlong forms, surrogates and truncated sequences are invalid.
Utf8Char DecodeUtf8(const char* p, const char* end);
void AppendUtf8(uint32_t code, std::string* out);

// How many bytes at the end of `text` begin a character that more bytes could complete: 0 to 3.
size_t IncompleteUtf8Tail(std::string_view text);

// Appends text with every invalid sequence replaced by U+FFFD: one per maximal subpart (as Unicode recommends), or one
// per byte (as SentencePiece does).
void AppendReplacingInvalid(std::string_view text, bool each_byte, std::string* out);

bool IsAscii(std::string_view text);

// Flags of every code point in a two-stage table, built once per process.
class CharTable {
 public:
  static const CharTable& Get();
  CharTable(const CharTable&) = delete;
  CharTable& operator=(const CharTable&) = delete;

  uint8_t Flags(uint32_t code) const {
    return code < 0x110000 ? blocks_[(static_cast<size_t>(stage_[code >> 8]) << 8) + (code & 0xFF)] : 0;
  }
  // Indexed by byte; 0 for bytes of multi-byte characters.
  const uint8_t* ascii() const { return ascii_; }

 private:
  CharTable();
  std::vector<uint16_t> stage_;  // block number by code >> 8
  std::vector<uint8_t> blocks_;
  uint8_t ascii_[256] = {};
};

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Invalid bytes pass through unchanged.
std::string Normalize(std::string_view text, NormalForm form);
// Unicode's full lower-case mapping of single characters (U+0130 becomes "i" and a combining dot).
std::string Lowercase(std::string_view text);

// General categories that the BERT normalizer asks about.
bool IsControlLike(uint32_t code);     // Cc, Cf, Co, Cs
bool IsNonspacingMark(uint32_t code);  // Mn
bool IsCombiningMark(uint32_t code);   // Mn, Mc, Me

// Ends of the extended grapheme clusters of text, as byte offsets.
std::vector<uint32_t> GraphemeEnds(std::string_view text);

}  // namespace millrace
