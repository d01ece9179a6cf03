// Segments folded into a running result, and that into outputs, in terms of simd/lanes.h; included by attention_body.h
// alone.
#pragma once

#include <limits>

#include "kernels/attention/attention_numbers.h"

namespace millrace::kernels {
namespace {

// For 16 queries: max = the larger of the two, keep = 2^(running - max), add = 2^(segment - max).
inline void FoldFactors(const float* segment_max, float* running_max, int n, float* keep, float* add) {
  const F32x16 from = LoadPartF32(segment_max, n);
  const F32x16 running = LoadPartF32(running_max, n);
  const F32x16 max = Max(from, running);
  StoreF32(keep, Exp2(Sub(running, max)));
  StoreF32(add, Exp2(Sub(from, max)));
  StorePartF32(running_max, max, n);
}

void Fold(const SegmentResult& segment, int num_queries, int head_dim, const SegmentResult& running) {
  const int stride = PaddedHeadDim(head_dim);
  float keep[kLanes];
  float add[kLanes];
  for (int m = 0; m < num_queries; ++m) {
    const int i = m % kLanes;
    if (i == 0) {
      const int n = num_queries - m < kLanes ? num_queries - m : kLanes;
      FoldFactors(segment.max + m, running.max + m, n, keep, add);
    }
    if (segment.max[m] == -std::numeric_limits<float>::infinity()) continue;
    running.sum[m] = running.sum[m] * keep[i] + segment.sum[m] * add[i];
    const F32x16 keep_lanes = SetF32(keep[i]);
    const F32x16 add_lanes = SetF32(add[i]);
    float* acc = running.acc + static_cast<int64_t>(m) * stride;
    const float* from = segment.acc + static_cast<int64_t>(m) * stride;
    for (int d = 0; d < stride; d += kLanes) {
      StoreF32(acc + d, Fma(LoadF32(from + d), add_lanes, Mul(LoadF32(acc + d), keep_lanes)));
    }
  }
}

void Finish(const FinishTask& task) {
  const SegmentResult& running = task.running;
  const int stride = PaddedHeadDim(task.head_dim);
  for (int m = 0; m < task.num_queries; ++m) {
    float factor = 1.0f / running.sum[m];
    if (task.sinks != nullptr) {
      const float sink[kLanes] = {*task.sinks[m] * kLog2E};
      float max[kLanes] = {running.max[m]};
      float keep[kLanes];
      float add[kLanes];
      FoldFactors(sink, max, 1, keep, add);
      factor = keep[0] / (running.sum[m] * keep[0] + add[0]);
    }
    const float* acc = running.acc + static_cast<int64_t>(m) * stride;
    const F32x16 factor_lanes = SetF32(factor);
    for (int d = 0; d < task.head_dim; d += kLanes) {
      const int n = task.head_dim - d < kLanes ? task.head_dim - d : kLanes;
      F32x16 value = Mul(LoadF32(acc + d), factor_lanes);
      if (task.gates != nullptr) value = Mul(value, Sigmoid(LoadPartF32(task.gates[m] + d, n)));
      StorePartF32(task.out[m] + d, value, n);
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
