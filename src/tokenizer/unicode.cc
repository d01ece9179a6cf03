#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <cstring>
#include <map>

namespace millrace {
namespace {

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// Length that the first byte announces, and the range that the second byte must be in; 0 for a byte that starts
// nothing.
struct Lead {
  uint32_t size;
  unsigned char low, high;
};

Lead LeadOf(unsigned char c) {
  if (c < 0x80) return {1, 0, 0};
  if (c < 0xC2) return {0, 0, 0};
  if (c < 0xE0) return {2, 0x80, 0xBF};
  if (c == 0xE0) return {3, 0xA0, 0xBF};
  if (c == 0xED) return {3, 0x80, 0x9F};
  if (c < 0xF0) return {3, 0x80, 0xBF};
  if (c == 0xF0) return {4, 0x90, 0xBF};
  if (c < 0xF4) return {4, 0x80, 0xBF};
  if (c == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes at p that are a correct beginning of one character, at most the character's size; 0 when *p starts none.
uint32_t ValidPrefix(const char* p, const char* end, const Lead& lead) {
  if (lead.size <= 1) return lead.size;
  const size_t available = static_cast<size_t>(end - p);
  if (available < 2) return 1;
  const unsigned char second = static_cast<unsigned char>(p[1]);
  if (second < lead.low || second > lead.high) return 1;
  uint32_t size = 2;
  while (size < lead.size && size < available && IsContinuation(p[size])) ++size;
  return size;
}

// White_Space=yes in PropList.txt.
bool IsWhiteSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

uint8_t FlagsFromCategory(uint32_t code) {
  uint8_t flags = IsWhiteSpace(code) ? kSpace : 0;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return flags | kLetter | kUpper;
    case UTF8PROC_CATEGORY_LL:
      return flags | kLetter | kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return flags | kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return flags | kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return flags | kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return flags | kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return flags | kSymbol;
    default:
      return flags;
  }
}

// Calls map on every maximal run of valid UTF-8 and copies the bytes between unchanged.
template <typename Map>
std::string MapValidRuns(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const char* q = p;
    while (q < end) {
      const Utf8Char c = DecodeUtf8(q, end);
      if (c.code == kInvalidChar) break;
      q += c.size;
    }
    if (q > p) map(std::string_view(p, static_cast<size_t>(q - p)), &out);
    if (q < end) out.push_back(*q++);
    p = q;
  }
  return out;
}

utf8proc_option_t FormOptions(NormalForm form) {
  switch (form) {
    case NormalForm::kNfc:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    case NormalForm::kNfd:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    case NormalForm::kNfkc:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case NormalForm::kNfkd:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
  return UTF8PROC_STABLE;
}

void AppendNormalized(std::string_view run, NormalForm form, std::string* out) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(run.data()),
                                 static_cast<utf8proc_ssize_t>(run.size()), &mapped, FormOptions(form));
  if (size < 0) {
    out->append(run);
    return;
  }
  out->append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);
}

// Whether NFC leaves the character alone whatever stands before it: true for invalid bytes and for the blocks below,
// which have neither combining marks nor singletons; false where it might change.
bool IsNfcInert(uint32_t code) {
  return code < 0x300 || (code >= 0x400 && code < 0x483) || (code >= 0x2010 && code < 0x2028) ||
         (code >= 0x3041 && code < 0x3097) || (code >= 0x30A0 && code < 0x3100) || (code >= 0x4E00 && code < 0xA000) ||
         (code >= 0xAC00 && code < 0xD7A4) || (code >= 0xFF00 && code < 0xFFF0) ||
         (code >= 0x1F300 && code < 0x1F700) || code == kInvalidChar;
}

}  // namespace

Utf8Char DecodeUtf8(const char* p, const char* end) {
  const Lead lead = LeadOf(static_cast<unsigned char>(*p));
  if (lead.size == 1) return {static_cast<unsigned char>(*p), 1};
  if (lead.size == 0 || ValidPrefix(p, end, lead) < lead.size) return {kInvalidChar, 1};
  uint32_t code = static_cast<unsigned char>(*p) & (0x7Fu >> lead.size);
  for (uint32_t i = 1; i < lead.size; ++i) code = (code << 6) | (static_cast<unsigned char>(p[i]) & 0x3Fu);
  return {code, lead.size};
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (code >> 6)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (code >> 12)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (code >> 18)));
    out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

size_t IncompleteUtf8Tail(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const char* p = end - back;
    if (IsContinuation(*p)) continue;
    const Lead lead = LeadOf(static_cast<unsigned char>(*p));
    return lead.size > back && ValidPrefix(p, end, lead) == back ? back : 0;
  }
  return 0;
}

void AppendReplacingInvalid(std::string_view text, bool each_byte, std::string* out) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const Lead lead = LeadOf(static_cast<unsigned char>(*p));
    const uint32_t valid = ValidPrefix(p, end, lead);
    if (lead.size > 0 && valid == lead.size) {
      out->append(p, valid);
      p += valid;
    } else {
      out->append(kReplacementChar);
      p += each_byte || valid == 0 ? 1 : valid;
    }
  }
}

bool IsAscii(std::string_view text) {
  const char* p = text.data();
  size_t left = text.size();
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    if (word & 0x8080808080808080u) return false;
  }
  for (; left > 0; ++p, --left) {
    if (static_cast<unsigned char>(*p) >= 0x80) return false;
  }
  return true;
}

CharTable::CharTable() {
  std::map<std::vector<uint8_t>, uint16_t> known;
  std::vector<uint8_t> block(256);
  stage_.resize(0x1100);
  for (uint32_t high = 0; high < 0x1100; ++high) {
    for (uint32_t low = 0; low < 256; ++low) block[low] = FlagsFromCategory((high << 8) + low);
    const auto [it, inserted] = known.emplace(block, static_cast<uint16_t>(blocks_.size() >> 8));
    if (inserted) blocks_.insert(blocks_.end(), block.begin(), block.end());
    stage_[high] = it->second;
  }
  for (uint32_t c = 0; c < 0x80; ++c) ascii_[c] = Flags(c);
}

const CharTable& CharTable::Get() {
  static const CharTable table;
  return table;
}

std::string Normalize(std::string_view text, NormalForm form) {
  if (IsAscii(text)) return std::string(text);
  if (form != NormalForm::kNfc) {
    return MapValidRuns(text, [form](std::string_view run, std::string* out) { AppendNormalized(run, form, out); });
  }
  // Only runs with a character that NFC might change are mapped, each with the character before it, which may compose.
  std::string out;
  out.reserve(text.size());
  const char* const end = text.data() + text.size();
  const char* copied = text.data();  // everything before is in out
  const char* previous = copied;     // the character before p
  for (const char* p = copied; p < end;) {
    const Utf8Char c = DecodeUtf8(p, end);
    if (IsNfcInert(c.code)) {
      previous = p;
      p += c.size;
      continue;
    }
    const char* begin = previous;
    while (p < end) {
      const Utf8Char next = DecodeUtf8(p, end);
      if (IsNfcInert(next.code)) break;
      p += next.size;
    }
    out.append(copied, begin);
    if (begin < p && DecodeUtf8(begin, end).code == kInvalidChar) out.push_back(*begin++);
    AppendNormalized(std::string_view(begin, static_cast<size_t>(p - begin)), form, &out);
    copied = previous = p;
  }
  return out.append(copied, end);
}

std::string Lowercase(std::string_view text) {
  return MapValidRuns(text, [](std::string_view run, std::string* out) {
    for (const char* p = run.data(); p < run.data() + run.size();) {
      const Utf8Char c = DecodeUtf8(p, run.data() + run.size());
      p += c.size;
      if (c.code == 0x130) {
        out->append("i\xCC\x87");
      } else {
        AppendUtf8(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))), out);
      }
    }
  });
}

bool IsControlLike(uint32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO ||
         category == UTF8PROC_CATEGORY_CS;
}

bool IsNonspacingMark(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_MN;
}

bool IsCombiningMark(uint32_t code) {
  return (CharTable::Get().Flags(code) & kMark) != 0;
}

std::vector<uint32_t> GraphemeEnds(std::string_view text) {
  std::vector<uint32_t> ends;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  utf8proc_int32_t state = 0;
  utf8proc_int32_t previous = -1;
  for (const char* p = begin; p < end;) {
    const Utf8Char c = DecodeUtf8(p, end);
    const auto code = static_cast<utf8proc_int32_t>(c.code == kInvalidChar ? 0xFFFD : c.code);
    if (previous >= 0 && utf8proc_grapheme_break_stateful(previous, code, &state)) {
      ends.push_back(static_cast<uint32_t>(p - begin));
    }
    previous = code;
    p += c.size;
  }
  if (!text.empty()) ends.push_back(static_cast<uint32_t>(text.size()));
  return ends;
}

}  // namespace millrace
