// NormRow in terms of simd/lanes.h; included by ISA files alone. Sums run over four accumulators of sixteen lanes,
// vector i into accumulator i mod 4, then (0 + 1) + (2 + 3), then over lanes.
#pragma once

#include <cmath>
#include <cstring>

#include "kernels/norm/norm.h"
#include "kernels/simd/lanes.h"

namespace millrace::kernels {
namespace {

inline int LanesAt(int64_t i, int64_t n) {
  return n - i < 16 ? static_cast<int>(n - i) : 16;
}

// The sum over x [n] of term(x), where the lanes beyond n are given to `term` as zero and must come back as zero.
template <typename Term>
float SumOver(const float* x, int64_t n, const Term& term) {
  F32x16 acc[4] = {ZeroF32(), ZeroF32(), ZeroF32(), ZeroF32()};
  for (int64_t i = 0; i < n; i += 64) {
    for (int part = 0; part < 4; ++part) {
      const int64_t at = i + part * 16;
      if (at >= n) break;
      const int lanes = LanesAt(at, n);
      acc[part] = term(acc[part], lanes == 16 ? LoadF32(x + at) : LoadPartF32(x + at, lanes), lanes);
    }
  }
  return ReduceAdd(Add(Add(acc[0], acc[1]), Add(acc[2], acc[3])));
}

inline float SumOfSquares(const float* x, int64_t n) {
  return SumOver(x, n, [](F32x16 acc, F32x16 v, int) { return Fma(v, v, acc); });
}

inline void NormRowBody(const Norm& norm, int64_t weight_offset, const float* x, int64_t n, float* y) {
  if (norm.kind == NormKind::kNone) {
    std::memmove(y, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  float mean = 0;
  float square;
  if (norm.kind == NormKind::kLayer) {
    mean = SumOver(x, n, [](F32x16 acc, F32x16 v, int) { return Add(acc, v); }) / static_cast<float>(n);
    const F32x16 mean_lanes = SetF32(mean);
    square = SumOver(x, n, [&](F32x16 acc, F32x16 v, int lanes) {
      const F32x16 difference = Select(static_cast<LaneMask>(0xffffu >> (16 - lanes)), Sub(v, mean_lanes), ZeroF32());
      return Fma(difference, difference, acc);
    });
  } else {
    square = SumOfSquares(x, n);
  }
  const F32x16 inverse = SetF32(1.0f / std::sqrt(square / static_cast<float>(n) + norm.eps));
  const F32x16 mean_lanes = SetF32(mean);
  for (int64_t i = 0; i < n; i += 16) {
    const int lanes = LanesAt(i, n);
    F32x16 v = Mul(Sub(LoadPartF32(x + i, lanes), mean_lanes), inverse);
    if (norm.weight != nullptr) v = Mul(v, LoadPartF32(norm.weight + weight_offset + i, lanes));
    if (norm.bias != nullptr) v = Add(v, LoadPartF32(norm.bias + weight_offset + i, lanes));
    StorePartF32(y + i, v, lanes);
  }
}

}  // namespace
}  // namespace millrace::kernels
