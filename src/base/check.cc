#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace millrace::internal {

void CheckFailed(const char* file, int line, const char* expr, const std::string& details) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s%s%s%s\n", file, line, expr, details.empty() ? "" : " (",
               details.c_str(), details.empty() ? "" : ")");
  std::abort();
}

}  // namespace millrace::internal
