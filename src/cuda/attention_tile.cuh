// One warp's 16 query rows against tiles of 64 keys and values in shared memory. Thread (g, t) of the warp holds rows g
// and g + 8.
#pragma once

#include "cuda/attention.h"
#include "cuda/device.h"

namespace millrace::cuda {

inline constexpr int kTileKeys = 64;
inline constexpr float kLog2E = 1.4426950408889634f;

// Softmax state of a row: maximum in units of log2, sum of 2^(score - maximum). Empty: -inf, 0.
struct SoftmaxState {
  float max, sum;
};
// Adds a segment's state to the running one; the accumulators are then total * `keep` + segment * `add`.
__device__ __forceinline__ SoftmaxState MergeSegment(SoftmaxState total, SoftmaxState segment, float* keep,
                                                     float* add) {
  const float max = fmaxf(total.max, segment.max);
  const float base = max > -INFINITY ? max : 0.0f;
  *keep = Exp2(total.max - base);
  *add = Exp2(segment.max - base);
  return {max, fmaf(total.sum, *keep, segment.sum * *add)};
}

// Tile of kTileKeys rows of kDim bf16.
template <int kDim>
__device__ __forceinline__ int TileOffset(int key, int chunk) {
  return (key * (kDim / 8) + SwizzledChunk(key, chunk, kDim / 8)) * 16;
}

template <int kDim>
struct QueryFragment {
  uint32_t a[kDim / 16][4];  // mma step 2c + s: dims 32c + 8t + 4s .. + 4 of rows g and g + 8
};

template <int kDim>
struct SegmentState {
  float out[kDim / 8][4];  // C fragments, dims 8n + 2t, + 1
  SoftmaxState low, high;  // rows g, g + 8; sums are of this lane's keys only until FinishSegment
};

// q rows of f32 to bf16 fragments; null rows and dims beyond head_dim are zeros.
template <int kDim>
__device__ __forceinline__ void LoadQuery(const float* low, const float* high, int head_dim,
                                          QueryFragment<kDim>* query) {
  const int t = LaneIndex() % 4;
#pragma unroll
  for (int chunk = 0; chunk < kDim / 32; ++chunk) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int dim = 32 * chunk + 8 * t + 2 * i;
      const bool inside = dim < head_dim;
      uint32_t(&a)[4] = query->a[2 * chunk + i / 2];
      a[i % 2 * 2] = low != nullptr && inside ? PackBf16(low[dim], low[dim + 1]) : 0u;
      a[i % 2 * 2 + 1] = high != nullptr && inside ? PackBf16(high[dim], high[dim + 1]) : 0u;
    }
  }
}

template <int kDim>
__device__ __forceinline__ void ClearSegment(SegmentState<kDim>* state) {
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) state->out[n][i] = 0.0f;
  }
  state->low = state->high = {-INFINITY, 0.0f};
}

// scores[j] = C fragment of keys 8j .. 8j + 7.
template <int kDim>
__device__ __forceinline__ void ScoreTile(const QueryFragment<kDim>& query, const std::byte* keys,
                                          float (&scores)[kTileKeys / 8][4]) {
  const int lane = LaneIndex(), g = lane / 4, t = lane % 4;
#pragma unroll
  for (int j = 0; j < kTileKeys / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[j][i] = 0.0f;
  }
#pragma unroll
  for (int chunk = 0; chunk < kDim / 32; ++chunk) {
#pragma unroll
    for (int j = 0; j < kTileKeys / 8; ++j) {
      const uint4 k = *reinterpret_cast<const uint4*>(keys + TileOffset<kDim>(8 * j + g, 4 * chunk + t));
      const uint32_t b0[2] = {k.x, k.y}, b1[2] = {k.z, k.w};
      MmaBf16(scores[j], query.a[2 * chunk], b0);
      MmaBf16(scores[j], query.a[2 * chunk + 1], b1);
    }
  }
}

// Which keys a query row sees: slots (last - window, last], or none when last < 0.
struct Visible {
  int first, last;
};

// Raw products to scores in units of log2, -inf where masked. `slot` is the tile's first key.
__device__ __forceinline__ void MaskTile(const AttentionParams& p, int slot, Visible low, Visible high,
                                         float (&scores)[kTileKeys / 8][4]) {
  const int t = LaneIndex() % 4;
#pragma unroll
  for (int j = 0; j < kTileKeys / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = slot + 8 * j + 2 * t + i % 2;
      const Visible& seen = i < 2 ? low : high;
      float score = scores[j][i] * p.scale;
      if (p.softcap > 0.0f) score = p.softcap * tanhf(score / p.softcap);
      scores[j][i] = key >= seen.first && key <= seen.last ? score * kLog2E : -INFINITY;
    }
  }
}

// Turns scores into bf16 probabilities, scales what was summed before; one row (half 0: g, half 1: g + 8).
template <int kDim, int kHalf>
__device__ __forceinline__ void SoftmaxRow(float (&scores)[kTileKeys / 8][4], SegmentState<kDim>* state) {
  SoftmaxState& row = kHalf == 0 ? state->low : state->high;
  float max = row.max;
#pragma unroll
  for (int j = 0; j < kTileKeys / 8; ++j) max = fmaxf(max, fmaxf(scores[j][2 * kHalf], scores[j][2 * kHalf + 1]));
  max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, 1));
  max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, 2));
  const float base = max > -INFINITY ? max : 0.0f;
  const float keep = Exp2(row.max - base);
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < kTileKeys / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float& score = scores[j][2 * kHalf + i];
      score = Exp2(score - base);
      sum += score;
    }
  }
  row = {max, fmaf(row.sum, keep, sum)};
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
    state->out[n][2 * kHalf] *= keep;
    state->out[n][2 * kHalf + 1] *= keep;
  }
}

// state->out += probabilities * values.
template <int kDim>
__device__ __forceinline__ void AddValues(const float (&scores)[kTileKeys / 8][4], const std::byte* values,
                                          SegmentState<kDim>* state) {
  const int lane = LaneIndex();
#pragma unroll
  for (int step = 0; step < kTileKeys / 16; ++step) {
    const uint32_t a[4] = {PackBf16(scores[2 * step][0], scores[2 * step][1]),
                           PackBf16(scores[2 * step][2], scores[2 * step][3]),
                           PackBf16(scores[2 * step + 1][0], scores[2 * step + 1][1]),
                           PackBf16(scores[2 * step + 1][2], scores[2 * step + 1][3])};
#pragma unroll
    for (int n = 0; n < kDim / 16; ++n) {
      uint32_t b[4];  // keys 0-7 and 8-15 of the step at dims 16n .. + 7, then the same at dims 16n + 8 ..
      LoadMatrixTransposed(b, values + TileOffset<kDim>(16 * step + lane % 16, 2 * n + lane / 16));
      const uint32_t first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
      MmaBf16(state->out[2 * n], a, first);
      MmaBf16(state->out[2 * n + 1], a, second);
    }
  }
}

// Sums of all lanes of a row.
template <int kDim>
__device__ __forceinline__ void FinishSegment(SegmentState<kDim>* state) {
  state->low.sum += __shfl_xor_sync(0xffffffffu, state->low.sum, 1);
  state->low.sum += __shfl_xor_sync(0xffffffffu, state->low.sum, 2);
  state->high.sum += __shfl_xor_sync(0xffffffffu, state->high.sum, 1);
  state->high.sum += __shfl_xor_sync(0xffffffffu, state->high.sum, 2);
}

// Factor of a row's accumulator at the end: 1 / (sum + sink).
__device__ __forceinline__ float FinalFactor(SoftmaxState row, const float* sink) {
  if (sink == nullptr) return 1.0f / row.sum;
  const float score = *sink * kLog2E;
  const float max = fmaxf(row.max, score);
  const float keep = Exp2(row.max - max);
  return keep / fmaf(row.sum, keep, Exp2(score - max));
}

}  // namespace millrace::cuda
