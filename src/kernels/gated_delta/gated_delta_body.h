// gated_delta in terms of simd/lanes.h; included by the ISA files alone. Lanes are value dims: every element of S^T k
// and S^T q is one chain over the key dims in ascending order.
#pragma once

#include <math.h>

#include <cstring>

#include "kernels/gated_delta/gated_delta_kernels.h"
#include "kernels/norm/norm_body.h"
#include "kernels/simd/math.h"

namespace millrace::kernels {
namespace {

// A stretch of convolution channels whose inputs lie together: its weights by tap, and the inputs before this step.
struct Channels {
  int64_t input;    // offset in a qkvz row
  int64_t channel;  // first channel
  int count;
  float weight[kMaxConvKernel][kMaxDeltaHeadDim];

  void Load(const GatedDeltaArgs& args, int64_t input_offset, int64_t first_channel, int num_channels) {
    input = input_offset;
    channel = first_channel;
    count = num_channels;
    for (int tap = 0; tap < args.conv_kernel; ++tap) {
      for (int i = 0; i < count; ++i) weight[tap][i] = args.conv_weight[(channel + i) * args.conv_kernel + tap];
    }
  }

  // out [count] = silu(sum over taps, oldest first) at new token j of the row that starts at token `begin`.
  void Convolve(const GatedDeltaArgs& args, const float* state, int begin, int j, float* out) const {
    const int64_t state_stride = ConvChannels(args);
    for (int i = 0; i < count; i += 16) {
      const int lanes = LanesAt(i, count);
      F32x16 sum = ZeroF32();
      for (int tap = 0; tap < args.conv_kernel; ++tap) {
        const int token = j + tap - (args.conv_kernel - 1);
        F32x16 value = ZeroF32();
        if (token >= 0) {
          value = LoadPartF32(args.qkvz + (begin + token) * args.qkvz_stride + input + i, lanes);
        } else if (state != nullptr) {
          value = LoadPartF32(state + (token + args.conv_kernel - 1) * state_stride + channel + i, lanes);
        }
        sum = Fma(LoadPartF32(weight[tap] + i, lanes), value, sum);
      }
      StorePartF32(out + i, Silu(sum), lanes);
    }
  }
};

inline void ScaleInPlace(float* x, int n, float factor) {
  const F32x16 factors = SetF32(factor);
  for (int i = 0; i < n; i += 16) {
    const int lanes = LanesAt(i, n);
    StorePartF32(x + i, Mul(LoadPartF32(x + i, lanes), factors), lanes);
  }
}

// One token: S [key_dim, value_dim] and its output o [value_dim].
inline void DeltaStep(const GatedDeltaArgs& args, const float* q, const float* k, const float* v, float decay,
                      float beta, float* s, float* o) {
  const int value_dim = args.value_head_dim;
  constexpr int kVectors = 4;
  const F32x16 decays = SetF32(decay);
  for (int d = 0; d < value_dim; d += kVectors * 16) {
    const int vectors = value_dim - d >= kVectors * 16 ? kVectors : (value_dim - d + 15) / 16;
    F32x16 recalled[kVectors];
    F32x16 out[kVectors];
    F32x16 delta[kVectors];
    for (int i = 0; i < kVectors; ++i) recalled[i] = out[i] = ZeroF32();
    for (int row = 0; row < args.key_head_dim; ++row) {
      const F32x16 key = SetF32(k[row]);
      const float* at = s + static_cast<int64_t>(row) * value_dim + d;
      for (int i = 0; i < vectors; ++i)
        recalled[i] = Fma(LoadPartF32(at + i * 16, LanesAt(d + i * 16, value_dim)), key, recalled[i]);
    }
    for (int i = 0; i < vectors; ++i) {
      const F32x16 value = LoadPartF32(v + d + i * 16, LanesAt(d + i * 16, value_dim));
      delta[i] = Mul(Sub(value, Mul(recalled[i], decays)), SetF32(beta));
    }
    for (int row = 0; row < args.key_head_dim; ++row) {
      const F32x16 key = SetF32(k[row]);
      const F32x16 query = SetF32(q[row]);
      float* at = s + static_cast<int64_t>(row) * value_dim + d;
      for (int i = 0; i < vectors; ++i) {
        const int lanes = LanesAt(d + i * 16, value_dim);
        const F32x16 updated = Fma(key, delta[i], Mul(LoadPartF32(at + i * 16, lanes), decays));
        StorePartF32(at + i * 16, updated, lanes);
        out[i] = Fma(updated, query, out[i]);
      }
    }
    for (int i = 0; i < vectors; ++i) StorePartF32(o + d + i * 16, out[i], LanesAt(d + i * 16, value_dim));
  }
}

inline void GateOutput(const Norm& norm, const float* o, const float* z, int n, float* out) {
  NormRowBody(norm, 0, o, n, out);
  for (int i = 0; i < n; i += 16) {
    const int lanes = LanesAt(i, n);
    StorePartF32(out + i, Mul(LoadPartF32(out + i, lanes), Silu(LoadPartF32(z + i, lanes))), lanes);
  }
}

// As torch: linear above 20.
inline float Softplus(float x) {
  return x > 20.0f ? x : ::log1pf(::expf(x));
}

inline void RunHead(const GatedDeltaArgs& args, int row, int head) {
  const DeltaOffsets at = OffsetsOf(args, head);
  const int64_t piece = static_cast<int64_t>(row) * (1 + args.num_value_heads);
  const float* conv_state = args.state_in[piece];
  const float* before = args.state_in[piece + 1 + head];
  float* s = args.state_out[piece + 1 + head];
  const size_t state_bytes = static_cast<size_t>(args.key_head_dim) * args.value_head_dim * sizeof(float);
  if (before == nullptr) {
    std::memset(s, 0, state_bytes);
  } else if (before != s) {
    std::memcpy(s, before, state_bytes);
  }
  Channels q_channels;
  Channels k_channels;
  Channels v_channels;
  q_channels.Load(args, at.q, at.q_conv, args.key_head_dim);
  k_channels.Load(args, at.k, at.k_conv, args.key_head_dim);
  v_channels.Load(args, at.v, at.v_conv, args.value_head_dim);
  const float rate = ::expf(args.a_log[head]);
  const float query_scale = 1.0f / ::sqrtf(static_cast<float>(args.key_head_dim));
  const int begin = args.query_start[row];
  float q[kMaxDeltaHeadDim];
  float k[kMaxDeltaHeadDim];
  float v[kMaxDeltaHeadDim];
  float o[kMaxDeltaHeadDim];
  for (int t = begin; t < args.query_start[row + 1]; ++t) {
    q_channels.Convolve(args, conv_state, begin, t - begin, q);
    k_channels.Convolve(args, conv_state, begin, t - begin, k);
    v_channels.Convolve(args, conv_state, begin, t - begin, v);
    ScaleInPlace(q, args.key_head_dim, query_scale / ::sqrtf(SumOfSquares(q, args.key_head_dim) + 1e-6f));
    ScaleInPlace(k, args.key_head_dim, 1.0f / ::sqrtf(SumOfSquares(k, args.key_head_dim) + 1e-6f));
    const float* ba = args.ba + t * args.ba_stride;
    const float decay = ::expf(-rate * Softplus(ba[at.a] + args.dt_bias[head]));
    const float beta = 1.0f / (1.0f + ::expf(-ba[at.b]));
    DeltaStep(args, q, k, v, decay, beta, s, o);
    GateOutput(args.out_norm, o, args.qkvz + t * args.qkvz_stride + at.z, args.value_head_dim,
               args.out + t * args.out_stride + static_cast<int64_t>(head) * args.value_head_dim);
  }
}

}  // namespace
}  // namespace millrace::kernels
