// CombineExperts in terms of simd/lanes.h; included by the ISA files alone.
#pragma once

#include "kernels/moe/moe_kernels.h"
#include "kernels/simd/lanes.h"

namespace millrace::kernels {
namespace {

inline void CombineExperts(const CombineTask& task) {
  const F32x16 scale = SetF32(task.scale);
  for (int64_t i = 0; i < task.n; i += 16) {
    const int lanes = task.n - i < 16 ? static_cast<int>(task.n - i) : 16;
    F32x16 sum = ZeroF32();
    for (int j = 0; j < task.num_outputs; ++j)
      sum = Fma(SetF32(task.weights[j]), LoadPartF32(task.y[j] + i, lanes), sum);
    StorePartF32(task.x + i, Fma(scale, sum, LoadPartF32(task.x + i, lanes)), lanes);
  }
}

}  // namespace
}  // namespace millrace::kernels
