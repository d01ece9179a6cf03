#include "server/url.h"

#include <algorithm>
#include <charconv>

namespace millrace {

std::string PercentDecoded(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    unsigned char byte = 0;
    const std::string_view digits = text.front() == '%' ? text.substr(1, 2) : std::string_view();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    const bool escape = digits.size() == 2 && error == std::errc() && end == digits.data() + 2;
    decoded += escape ? static_cast<char>(byte) : text.front();
    text.remove_prefix(escape ? 3 : 1);
  }
  return decoded;
}

std::string QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (PercentDecoded(pair.substr(0, equals)) == name)
      return PercentDecoded(pair.substr(std::min(pair.size(), equals + 1)));
  }
  return "";
}

}  // namespace millrace
