// Causal attention over the paged cache, one kernel family for decode, append and prefill; formula in
// kernels/op_table.h.
//
// A query row is (token, head of the kv head's group), so that the heads that share keys fill an mma tile. KV is cut
// into segments of 256 absolute positions. Each is reduced alone, 64 keys at a time with an online softmax, and
// segments are merged in ascending order by MergeSegment, whether one block walks through all (many query rows) or
// every segment has its own block (few): a row's bits do not depend on what else is in the step.
#pragma once

#include <initializer_list>

#include "cuda/paged_kv.h"

namespace millrace::cuda {

inline constexpr int kSmallRows = 16;  // query rows of a (row, kv head) up to which segments get their own blocks
inline constexpr int kMaxHeadDim = 256;

struct AttentionParams {
  const float* q = nullptr;  // [T, num_heads * head_dim], rows q_stride apart
  int64_t q_stride = 0;
  int num_heads = 0;
  float scale = 1.0f;
  int window = 0;
  float softcap = 0.0f;
  const float* sinks = nullptr;     // [num_heads] or null
  const float* out_gate = nullptr;  // [T, num_heads * head_dim] or null: out *= sigmoid(out_gate)
  int64_t out_gate_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  PagedKv kv;

  // Rows of the step that this launch covers.
  int first_row = 0;
  int num_rows = 0;
  // Few query rows only: segments of the longest row, results of segments, and counters that are zero before and after.
  int num_segments = 1;
  float* partial = nullptr;     // [num_rows, num_kv_heads, num_segments, kSmallRows, PartialStride(head_dim)]
  unsigned* tickets = nullptr;  // [num_rows, num_kv_heads]
};

// The size of head that the kernels for head_dim work on; what is beyond head_dim is zero.
constexpr int KernelHeadDim(int head_dim) {
  for (const int dim : {32, 64, 96, 128}) {
    if (head_dim <= dim) return dim;
  }
  return kMaxHeadDim;
}
// Floats of one query row of a segment's result: accumulator, then maximum and sum.
constexpr int PartialStride(int head_dim) {
  return KernelHeadDim(head_dim) + 4;
}

// Rows with at most kSmallRows query rows per kv head; the others are skipped.
void LaunchAttentionSmall(const AttentionParams& params, void* stream);
// Rows with more; max_query_len is the largest number of new tokens of a row.
void LaunchAttentionLarge(const AttentionParams& params, int max_query_len, void* stream);

}  // namespace millrace::cuda
