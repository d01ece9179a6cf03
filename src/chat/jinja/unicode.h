// Code point helpers with the semantics of Python's str. Text that is not valid UTF-8 never fails: a byte that begins
// no valid character counts as one character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::jinja {

// The character at `offset` (which must lie inside the text) and its length in bytes. An invalid byte gives 0xDC00 +
// byte.
struct Char {
  char32_t code;
  size_t size;
};
Char DecodeAt(std::string_view text, size_t offset);
// The last character of text[0, end), end > 0.
Char DecodeBefore(std::string_view text, size_t end);
void AppendUtf8(char32_t code, std::string& out);

// The first occurrence of needle at or after `from`, or npos. Linear in the worst case, unlike std::string_view::find.
size_t FindBytes(std::string_view text, std::string_view needle, size_t from = 0);

// Length in characters.
size_t CountChars(std::string_view text);
// Byte offset of character `index`; the size of the text when there are fewer.
size_t CharOffset(std::string_view text, size_t index);

bool IsSpace(char32_t code);  // str.isspace
bool IsUpper(char32_t code);
bool IsLower(char32_t code);
bool IsAlpha(char32_t code);
bool IsDigit(char32_t code);
bool IsPrintable(char32_t code);  // what repr() leaves as it is
// Where str.splitlines breaks.
bool IsLineBreak(char32_t code);

// Simple case mapping per character, and ß -> SS in upper case.
std::string ToUpper(std::string_view text);
std::string ToLower(std::string_view text);
std::string Capitalize(std::string_view text);
// str.title: a letter after a letter is lower case, any other is title case.
std::string TitleCase(std::string_view text);

}  // namespace millrace::jinja
