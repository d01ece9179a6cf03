// Outside text in error messages.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace millrace {

// At most 64 bytes of a name that came from a file, what is not printable ASCII as '?': it never reaches a terminal
// raw.
inline std::string Printable(std::string_view text) {
  std::string out(text.substr(0, 64));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

// A title from a file, which may be in any language, with control characters as '?'.
inline std::string WithoutControls(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }, '?');
  return out;
}

// True for what tensors are named in every published file; other names are refused, so that they can be printed as they
// are.
inline bool IsPlainName(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace millrace
