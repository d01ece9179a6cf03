// What clients write into the target of a request.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

// "%20" becomes a blank; an escape that is none stays as it is.
std::string PercentDecoded(std::string_view text);

// The decoded value of a name in "a=b&c=d"; "" when it is absent.
std::string QueryValue(std::string_view query, std::string_view name);

}  // namespace millrace
