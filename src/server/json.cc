#include "server/json.h"

#include <array>

namespace millrace {
namespace {

constexpr int kDeepest = 256;

// Counts structure outside strings; whether the text is JSON is for the parser to say.
Status CheckLimits(std::string_view text, const JsonLimits& limits) {
  std::array<size_t, kDeepest + 1> members{};
  int depth = 0;
  size_t total_members = 0, values = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '"':
        for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\';
        break;
      case '[':
      case '{':
        ++values;
        if (++depth > limits.max_depth) return OutOfRange("the JSON is nested deeper than {} levels", limits.max_depth);
        members[static_cast<size_t>(depth)] = 0;
        break;
      case ']':
      case '}':
        depth = depth > 0 ? depth - 1 : 0;
        break;
      case ',':
        ++values;
        break;
      case ':':
        ++total_members;
        if (++members[static_cast<size_t>(depth)] > limits.max_members_per_object) {
          return OutOfRange("a JSON object has more than {} members", limits.max_members_per_object);
        }
        break;
      default:
        break;
    }
  }
  if (total_members > limits.max_members)
    return OutOfRange("the JSON has {} members, the limit is {}", total_members, limits.max_members);
  if (values > limits.max_values)
    return OutOfRange("the JSON has {} values, the limit is {}", values, limits.max_values);
  return OkStatus();
}

}  // namespace

Result<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  CHECK_LE(limits.max_depth, kDeepest);
  RETURN_IF_ERROR(CheckLimits(text, limits));
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 3: ...": the name is the library's own.
    const std::string_view what = error.what();
    const size_t name_end = what.find("] ");
    return InvalidArgument("the body is not valid JSON: {}",
                           name_end == std::string_view::npos ? what : what.substr(name_end + 2));
  }
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ValidUtf8(std::string_view bytes) {
  // The library replaces while it serialises; a round trip leaves the text.
  return Json::parse(DumpJson(Json(std::string(bytes)))).get<std::string>();
}

}  // namespace millrace
