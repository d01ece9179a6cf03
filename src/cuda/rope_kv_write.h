// Norm of every query and key head, rope, and the write of keys and values to the cache; formulas in
// kernels/op_table.h.
#pragma once

#include "cuda/paged_kv.h"
#include "cuda/rows.h"

namespace millrace::cuda {

struct RopeKvWriteParams {
  float* qkv = nullptr;  // [T, q | k | v], rows `stride` apart; q and k are changed in place
  int64_t stride = 0;
  int num_tokens = 0;
  int num_heads = 0;
  NormParams q_norm, k_norm;       // per head, weight [head_dim]
  const float* cos_sin = nullptr;  // [T, rotary_dim / 2, 2] or null
  int rotary_dim = 0;
  bool interleaved = false;
  PagedKv kv;
};
void LaunchRopeKvWrite(const RopeKvWriteParams& params, void* stream);

}  // namespace millrace::cuda
