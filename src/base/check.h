// CHECK aborts on a bug in this program, with the values that broke it. Anything from outside (file, request, device)
// returns Status instead and never reaches a CHECK. DCHECK vanishes in Release builds.
#pragma once

#include <fmt/format.h>

#include <string>

namespace millrace::internal {

// Prints "file:line: CHECK failed: expr (details)" on standard error and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expr, const std::string& details);

}  // namespace millrace::internal

#define CHECK(cond, ...)                                                                           \
  do {                                                                                             \
    if (!(cond)) [[unlikely]]                                                                      \
      ::millrace::internal::CheckFailed(__FILE__, __LINE__, #cond, ::fmt::format("" __VA_ARGS__)); \
  } while (0)

#define MILLRACE_CHECK_OP(a, op, b)                                                   \
  do {                                                                                \
    const auto& check_a = (a);                                                        \
    const auto& check_b = (b);                                                        \
    if (!(check_a op check_b)) [[unlikely]]                                           \
      ::millrace::internal::CheckFailed(__FILE__, __LINE__, #a " " #op " " #b,        \
                                        ::fmt::format("{} vs {}", check_a, check_b)); \
  } while (0)

#define CHECK_EQ(a, b) MILLRACE_CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) MILLRACE_CHECK_OP(a, !=, b)
#define CHECK_LE(a, b) MILLRACE_CHECK_OP(a, <=, b)
#define CHECK_LT(a, b) MILLRACE_CHECK_OP(a, <, b)
#define CHECK_GE(a, b) MILLRACE_CHECK_OP(a, >=, b)
#define CHECK_GT(a, b) MILLRACE_CHECK_OP(a, >, b)

#ifdef NDEBUG
#define DCHECK(cond, ...) \
  do {                    \
    (void)sizeof(cond);   \
  } while (0)
#define DCHECK_LT(a, b) DCHECK((a) < (b))
#define DCHECK_EQ(a, b) DCHECK((a) == (b))
#else
#define DCHECK(cond, ...) CHECK(cond, __VA_ARGS__)
#define DCHECK_LT(a, b) CHECK_LT(a, b)
#define DCHECK_EQ(a, b) CHECK_EQ(a, b)
#endif
