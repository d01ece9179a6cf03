// OpTable::gated_delta: the gated delta rule of Qwen3-Next between its projections (Yang et al. 2024; formulas as in
// transformers' Qwen3NextGatedDeltaNet), for rows of any number of new tokens.
//
// With r = num_value_heads / num_key_heads and key head g:
//   qkvz row: for each g: q [key_dim], k [key_dim], v [r, value_dim], z [r, value_dim];  ba row: for each g: b [r], a
//   [r] conv channels: q of all key heads, k of all key heads, v of all value heads;  weight [channel, kernel], the
//   last column is the newest input q, k, v = silu(causal convolution);  q, k scaled by rsqrt(sum of squares + 1e-6), q
//   also by 1 / sqrt(key_dim) decay = exp(-exp(a_log) * softplus(a + dt_bias));  beta = sigmoid(b) S = decay * S;  S +=
//   k (beta (v - S^T k))^T;  o = S^T q                                           per value head out = rmsnorm(o) *
//   out_norm.weight * silu(z)
// State pieces are those of GatedDeltaArgs, all f32. Tokens run one after the other with the same arithmetic, so
// chunking changes no bit.
#pragma once

#include "kernels/op_table.h"

namespace millrace::kernels {

inline constexpr int kMaxDeltaHeadDim = 256;  // key_head_dim and value_head_dim
inline constexpr int kMaxConvKernel = 8;

void GatedDeltaCpu(OpContext* context, const GatedDeltaArgs* args);

// The definition in double precision; for tests.
void GatedDeltaRef(const GatedDeltaArgs& args);

}  // namespace millrace::kernels
