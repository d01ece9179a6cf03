// Attention kernels in terms of simd/lanes.h; included by the ISA files alone.
#pragma once

#include "kernels/attention/attention_fold.h"
#include "kernels/attention/attention_numbers.h"
#include "kernels/attention/attention_segment.h"

namespace millrace::kernels {
namespace {

void PackQueries(DType dtype, int head_dim, float scale, const float* const* q, int num_queries, PackedQueries* out) {
  switch (dtype) {
    case DType::kBF16:
      return PackAll<KvBf16>(head_dim, scale, q, num_queries, out);
    case DType::kI8:
      return PackAll<KvI8>(head_dim, scale, q, num_queries, out);
    case DType::kF8E4M3:
      return PackAll<KvF8>(head_dim, scale, q, num_queries, out);
    default:
      return PackAll<KvF32>(head_dim, scale, q, num_queries, out);
  }
}

void Segment(const SegmentTask& task) {
  switch (task.dtype) {
    case DType::kBF16:
      return SegmentOf<KvBf16>(task);
    case DType::kF16:
      return SegmentOf<KvF16>(task);
    case DType::kI8:
      return SegmentOf<KvI8>(task);
    case DType::kF8E4M3:
      return SegmentOf<KvF8>(task);
    default:
      return SegmentOf<KvF32>(task);
  }
}

}  // namespace
}  // namespace millrace::kernels
