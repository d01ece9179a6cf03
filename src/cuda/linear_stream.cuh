// Few tokens: bound by the bytes of the weights. A warp owns 16 rows and one run of k, reads its weights from memory
// straight into mma fragments, two steps ahead, and its activations through the first-level cache. Runs of one tile are
// warps of one block.
#pragma once

#include "cuda/launch.h"
#include "cuda/linear_fragment.cuh"

namespace millrace::cuda {

inline constexpr int kStreamWarps = 8;
inline constexpr int kStreamAhead = 2;  // steps in flight per lane: 8 KiB (bf16) a warp

template <WeightFormat kFormat>
__device__ __forceinline__ void LoadStreamStep(const LinearParams& p, int tile, int step, RawStep<kFormat>* raw) {
  const int lane = LaneIndex(), g = lane / 4, t = lane % 4;
  const int row = tile * kTileRows + g;
  const int64_t row_bytes = static_cast<int64_t>(p.num_steps) * StepBytes(kFormat);
  const std::byte* at = p.weights + row * row_bytes + static_cast<int64_t>(step) * StepBytes(kFormat) + 16 * t;
#pragma unroll
  for (int i = 0; i < RawStep<kFormat>::kLoads; ++i) {
    raw->low[i] = LoadStreaming(at + 64 * i);
    raw->high[i] = LoadStreaming(at + 8 * row_bytes + 64 * i);
  }
  LoadScales(p, step, row, raw);
}

template <WeightFormat kFormat, int kTokenTiles>
__device__ __forceinline__ void MultiplyStreamStep(const LinearParams& p, const int* x_rows, int first_token, int step,
                                                   const RawStep<kFormat>& raw, float (&acc)[kTokenTiles][4]) {
  const int lane = LaneIndex(), g = lane / 4, t = lane % 4;
  const int64_t padded_k = static_cast<int64_t>(p.num_steps) * StepElems(kFormat);
#pragma unroll
  for (int group = 0; group < StepGroups(kFormat); ++group) {
    GroupFragment fragment;
    MakeFragment(raw, group, &fragment);
#pragma unroll
    for (int j = 0; j < kTokenTiles; ++j) {
      const int token = first_token + 8 * j + g;
      uint4 x = {0, 0, 0, 0};
      if (token < p.num_tokens) {
        const int64_t row = x_rows != nullptr ? x_rows[token] : token;
        x = *reinterpret_cast<const uint4*>(p.x + row * padded_k + step * StepElems(kFormat) + kGroup * group + 8 * t);
      }
      Accumulate<kFormat>(fragment, x, TokenSums<kFormat>(x), acc[j]);
    }
  }
}

// The product of one tile group with tokens [first_token, first_token + 8 kTokenTiles), by a block of kStreamWarps
// warps. x_rows: where in x a token's row lies, null for its own. StreamSharedBytes of shared memory; ends without a
// barrier.
template <WeightFormat kFormat, int kTokenTiles>
__device__ __forceinline__ void StreamProduct(const LinearParams& p, const int* x_rows, int tile_group,
                                              int first_token) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = LaneIndex();
  const int split = warp % p.num_splits;
  const int tile = tile_group * (kStreamWarps / p.num_splits) + warp / p.num_splits;
  const bool active = tile * kTileRows < p.padded_rows;
  const int begin = SplitBegin(p.num_steps, split, p.num_splits),
            end = SplitBegin(p.num_steps, split + 1, p.num_splits);

  float acc[kTokenTiles][4] = {};
  if (active) {
    RawStep<kFormat> current[kStreamAhead], next[kStreamAhead];
#pragma unroll
    for (int i = 0; i < kStreamAhead; ++i) {
      if (begin + i < end) LoadStreamStep(p, tile, begin + i, &current[i]);
    }
    for (int step = begin; step < end; step += kStreamAhead) {
#pragma unroll
      for (int i = 0; i < kStreamAhead; ++i) {
        if (step + kStreamAhead + i < end) LoadStreamStep(p, tile, step + kStreamAhead + i, &next[i]);
      }
#pragma unroll
      for (int i = 0; i < kStreamAhead; ++i) {
        if (step + i < end) MultiplyStreamStep<kFormat, kTokenTiles>(p, x_rows, first_token, step + i, current[i], acc);
        current[i] = next[i];
      }
    }
  }
  auto* partial = reinterpret_cast<float4*>(SharedMemory());  // [kStreamWarps][kTokenTiles][lanes]
#pragma unroll
  for (int j = 0; j < kTokenTiles; ++j) {
    partial[(warp * kTokenTiles + j) * kWarp + lane] = {acc[j][0], acc[j][1], acc[j][2], acc[j][3]};
  }
  __syncthreads();
  if (!active || split != 0) return;
#pragma unroll
  for (int j = 0; j < kTokenTiles; ++j) {
    float total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int s = 0; s < p.num_splits; ++s) {
      const float4 part = partial[((warp + s) * kTokenTiles + j) * kWarp + lane];
      total[0] += part.x;
      total[1] += part.y;
      total[2] += part.z;
      total[3] += part.w;
    }
    StoreFragment(p, tile, first_token + 8 * j, total);
  }
}

constexpr size_t StreamSharedBytes(int token_tiles) {
  return sizeof(float4) * kStreamWarps * static_cast<size_t>(token_tiles) * kWarp;
}

// Blocks that cover all rows.
inline unsigned StreamTileGroups(const LinearParams& p) {
  const int tiles_per_block = kStreamWarps / p.num_splits;
  return static_cast<unsigned>((p.padded_rows / kTileRows + tiles_per_block - 1) / tiles_per_block);
}

}  // namespace millrace::cuda
