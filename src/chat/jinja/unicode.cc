#include "chat/jinja/unicode.h"

#include <utf8proc.h>

#include <cstring>

namespace millrace::jinja {
namespace {

constexpr char32_t kInvalidByteBase = 0xDC00;

utf8proc_category_t Category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// An invalid byte stays the byte that it was.
void AppendChar(char32_t code, std::string& out) {
  if (code >= kInvalidByteBase && code < kInvalidByteBase + 0x100) {
    out.push_back(static_cast<char>(code - kInvalidByteBase));
  } else {
    AppendUtf8(code, out);
  }
}

void AppendUpper(char32_t code, std::string& out) {
  if (code == 0xDF) {
    out += "SS";
  } else {
    AppendChar(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))), out);
  }
}

void AppendLower(char32_t code, std::string& out) {
  AppendChar(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))), out);
}

void AppendTitle(char32_t code, std::string& out) {
  if (code == 0xDF) {
    out += "Ss";
  } else {
    AppendChar(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))), out);
  }
}

}  // namespace

Char DecodeAt(std::string_view text, size_t offset) {
  utf8proc_int32_t code = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + offset;
  const utf8proc_ssize_t size = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - offset), &code);
  if (size <= 0) return {kInvalidByteBase + static_cast<unsigned char>(text[offset]), 1};
  return {static_cast<char32_t>(code), static_cast<size_t>(size)};
}

Char DecodeBefore(std::string_view text, size_t end) {
  for (size_t size = 1; size <= 4 && size <= end; ++size) {
    if ((static_cast<unsigned char>(text[end - size]) & 0xC0) == 0x80) continue;
    const Char c = DecodeAt(text.substr(0, end), end - size);
    if (c.size == size) return c;
    break;
  }
  return {kInvalidByteBase + static_cast<unsigned char>(text[end - 1]), 1};
}

void AppendUtf8(char32_t code, std::string& out) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

size_t FindBytes(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  return found == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); i += DecodeAt(text, i).size) ++count;
  return count;
}

size_t CharOffset(std::string_view text, size_t index) {
  size_t offset = 0;
  while (index > 0 && offset < text.size()) {
    offset += DecodeAt(text, offset).size;
    --index;
  }
  return offset;
}

bool IsSpace(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x1F);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool IsUpper(char32_t code) {
  return Category(code) == UTF8PROC_CATEGORY_LU || Category(code) == UTF8PROC_CATEGORY_LT;
}

bool IsLower(char32_t code) {
  return Category(code) == UTF8PROC_CATEGORY_LL || code == 0xAA || code == 0xBA;
}

bool IsAlpha(char32_t code) {
  const utf8proc_category_t category = Category(code);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool IsDigit(char32_t code) {
  return Category(code) == UTF8PROC_CATEGORY_ND;
}

bool IsPrintable(char32_t code) {
  if (code == ' ') return true;
  const utf8proc_category_t category = Category(code);
  return category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
}

bool IsLineBreak(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

std::string ToUpper(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Char c = DecodeAt(text, i);
    AppendUpper(c.code, out);
    i += c.size;
  }
  return out;
}

std::string ToLower(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Char c = DecodeAt(text, i);
    AppendLower(c.code, out);
    i += c.size;
  }
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return {};
  const Char first = DecodeAt(text, 0);
  std::string out;
  AppendTitle(first.code, out);
  return out + ToLower(text.substr(first.size));
}

std::string TitleCase(std::string_view text) {
  std::string out;
  bool after_letter = false;
  for (size_t i = 0; i < text.size();) {
    const Char c = DecodeAt(text, i);
    if (after_letter) {
      AppendLower(c.code, out);
    } else {
      AppendTitle(c.code, out);
    }
    after_letter = IsUpper(c.code) || IsLower(c.code);
    i += c.size;
  }
  return out;
}

}  // namespace millrace::jinja
