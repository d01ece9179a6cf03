// Overflow-checked arithmetic for every size that comes from a file or a request.
#pragma once

#include <concepts>
#include <optional>

namespace millrace {

template <std::integral T>
[[nodiscard]] std::optional<T> CheckedAdd(T a, T b) {
  T out;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
[[nodiscard]] std::optional<T> CheckedMul(T a, T b) {
  T out;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// True when [offset, offset + size) lies inside [0, limit).
template <std::unsigned_integral T>
[[nodiscard]] bool RangeFits(T offset, T size, T limit) {
  return offset <= limit && size <= limit - offset;
}

template <std::integral T>
constexpr T CeilDiv(T a, T b) {
  return (a + b - 1) / b;
}

template <std::integral T>
constexpr T RoundUp(T a, T multiple) {
  return CeilDiv(a, multiple) * multiple;
}

}  // namespace millrace
