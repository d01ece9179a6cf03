// The tile loop of the types with chunks of 256 values on AVX2 without VNNI. Included by *_avx2.cc alone; internal
// linkage throughout.
//
// The scales of a chunk's blocks are whole numbers, so vpmaddwd multiplies by them while it widens the 16-bit sums, and
// a chunk is summed in integers: |code * x * scale| * 256 < 2^29.
#pragma once

#include "kernels/linear/int8_tile_avx2.h"

namespace millrace::kernels {
namespace {

// sum += the products of a block with its scales.
template <typename Format, int kGroups, int kTokens>
[[gnu::always_inline]] inline void AddBlock(const std::byte* chunk, const std::byte* block, int b,
                                            const Activations<Format>* x, int group, __m256i sum[kGroups][kTokens]) {
  constexpr int kQuads = 8 / Format::kParts;
#pragma GCC unroll 2
  for (int part = 0; part < Format::kParts; ++part) {
    __m256i scale[kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const __m256i wide = Format::Scale(chunk, block, b, part, group + g);
      scale[g] = Ymm::Pair(wide, wide);
    }
    AddQuads<Format, kGroups, kTokens, kQuads>(block + Format::kBlockScaleBytes, x, part * kQuads, group, scale, sum);
    if constexpr (kTakesSigns<Format>) {
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          sum[g][t] = _mm256_add_epi32(sum[g][t], _mm256_madd_epi16(scale[g], BroadcastDword(&x[t].negatives)));
        }
      }
    }
  }
  if constexpr (Format::kOffset != 0 && !kTakesSigns<Format>) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const __m256i scales =
          Ymm::Pair(Format::Scale(chunk, block, b, 0, group + g), Format::Scale(chunk, block, b, 1, group + g));
      const __m256i offsets = _mm256_mullo_epi16(scales, _mm256_set1_epi16(-Format::kOffset));
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        sum[g][t] = _mm256_add_epi32(sum[g][t], _mm256_madd_epi16(offsets, BroadcastDword(x[t].sum.pair)));
      }
    }
  }
}

// The sum of a chunk's mins times the sums of their activations.
template <typename Format, int kGroups, int kTokens>
[[gnu::always_inline]] inline void SumMins(const std::byte* blocks, const std::byte* x_bytes, int64_t x_stride,
                                           int group, __m256i mins[kGroups][kTokens]) {
  constexpr int kStep = Format::kParts == 2 ? 1 : 2;
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) mins[g][t] = _mm256_setzero_si256();
  }
#pragma GCC unroll 1
  for (int b = 0; b < kSuperBlocks; b += kStep) {
    const auto* x = reinterpret_cast<const Int8Block*>(x_bytes + b * x_stride);
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const __m256i pair = Format::MinPair(blocks + b * Format::kBlockBytes, Format::kBlockBytes, group + g);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        mins[g][t] = _mm256_add_epi32(mins[g][t], _mm256_madd_epi16(pair, BroadcastDword(x[t].sum.pair)));
      }
    }
  }
}

// Rows 8 group .. 8 (group + kGroups) - 1 of the panel.
template <typename Format, int kGroups, int kTokens>
inline void RunSuperGroups(const TileArgs& args, int group) {
  const std::byte* chunk = args.panel;
  const std::byte* x_bytes = args.x;
  for (int64_t n = args.num_chunks; n > 0; --n) {
    const std::byte* blocks = chunk + Format::kHeaderBytes;
    __m256i sum[kGroups][kTokens], mins[kGroups][kTokens];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) sum[g][t] = _mm256_setzero_si256();
    }
#pragma GCC unroll 1
    for (int b = 0; b < kSuperBlocks; ++b) {
      const auto* x = reinterpret_cast<const Activations<Format>*>(x_bytes + b * args.x_stride);
      AddBlock<Format, kGroups, kTokens>(chunk, blocks + b * Format::kBlockBytes, b, x, group, sum);
    }
    if constexpr (Format::kMins) SumMins<Format, kGroups, kTokens>(blocks, x_bytes, args.x_stride, group, mins);
    const auto* x = reinterpret_cast<const Activations<Format>*>(x_bytes);
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[g][t]), Format::Factor(chunk, group + g));
        if constexpr (Format::kMins) {
          product =
              _mm256_fmadd_ps(_mm256_cvtepi32_ps(mins[g][t]), Format::NegativeMinFactor(chunk, group + g), product);
        }
        float* at = args.acc + t * kPanelRows + (group + g) * 8;
        _mm256_store_ps(at, _mm256_fmadd_ps(product, _mm256_set1_ps(x[t].scale), _mm256_load_ps(at)));
      }
    }
    chunk = blocks + kSuperBlocks * Format::kBlockBytes;
    x_bytes += kSuperBlocks * args.x_stride;
  }
}

template <typename Format, int kTokens,
          int kGroups = (kTokens == 1   ? 4
                         : kTokens <= 3 ? 2
                                        : 1)>
void SuperTile(const TileArgs& args) {
  if (!args.resume) std::memset(args.acc, 0, kTokens * kPanelRows * sizeof(float));
  for (int group = 0; group < 4; group += kGroups) RunSuperGroups<Format, kGroups, kTokens>(args, group);
}

template <typename Format>
constexpr TileKernel MakeSuperKernel() {
  return {{ActivationType::kInt8, Format::kSum, 0, kSuperBlocks},
          {6},
          {SuperTile<Format, 1>, SuperTile<Format, 2>, SuperTile<Format, 3>, SuperTile<Format, 4>, SuperTile<Format, 5>,
           SuperTile<Format, 6>}};
}

// What ExpandChunks makes of a format without mins: f32 factors [32 rows], then 8 blocks of scales int32 [parts][32
// rows] and codes [8 quads][32 rows][4].
template <typename Format>
struct ExpandedChunk {
  static constexpr int kMaxCode = Format::kMaxCode;
  static constexpr int kOffset = Format::kOffset;
  static constexpr int kParts = Format::kParts;
  static constexpr bool kMins = false;
  static constexpr int kRowBytes = kPanelRows * 4;
  static constexpr int kHeaderBytes = kRowBytes;
  static constexpr int kBlockScaleBytes = kParts * kRowBytes;
  static constexpr int kBlockBytes = kBlockScaleBytes + 8 * kRowBytes;
  static_assert(kHeaderBytes + kSuperBlocks * kBlockBytes <= kMaxExpandedChunkBytes);
  static __m256i Quad(const std::byte* codes, int j, int group) {
    return Ymm::LoadBytes(codes + j * kRowBytes + group * 32);
  }
  static __m256 Factor(const std::byte* chunk, int group) {
    return _mm256_load_ps(reinterpret_cast<const float*>(chunk) + group * 8);
  }
  static __m256i Scale(const std::byte*, const std::byte* block, int, int part, int group) {
    return Ymm::LoadBytes(block + part * kRowBytes + group * 32);
  }
};

template <typename Format>
void ExpandChunks(const std::byte* chunk, int64_t num_chunks, std::byte* out) {
  using To = ExpandedChunk<Format>;
  const auto store = [](std::byte* at, __m256i v) { _mm256_store_si256(reinterpret_cast<__m256i*>(at), v); };
  for (int64_t n = num_chunks; n > 0; --n) {
    for (int g = 0; g < 4; ++g) store(out + g * 32, _mm256_castps_si256(Format::Factor(chunk, g)));
    out += To::kHeaderBytes;
    const std::byte* block = chunk + Format::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < kSuperBlocks; ++b) {
#pragma GCC unroll 1
      for (int g = 0; g < 4; ++g) {
        for (int part = 0; part < To::kParts; ++part)
          store(out + part * To::kRowBytes + g * 32, Format::Scale(chunk, block, b, part, g));
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) {
          store(out + To::kBlockScaleBytes + j * To::kRowBytes + g * 32,
                Format::Quad(block + Format::kBlockScaleBytes, j, g));
        }
      }
      block += Format::kBlockBytes;
      out += To::kBlockBytes;
    }
    chunk = block;
  }
}

// 8-bit codes that a table makes. 8 integer sums, codes and scales of 2 groups fit the registers; 4 tokens alone are 2
// tiles, to share the expansion.
template <typename Format>
constexpr TileKernel MakeExpandingSignsSuperKernel() {
  using E = ExpandedChunk<Format>;
  TileKernel kernel = {{ActivationType::kInt8Signs, BlockSum::kNone, 0, kSuperBlocks},
                       {4, 3, 4},
                       {SuperTile<Format, 1>, SuperTile<Format, 2>, SuperTile<Format, 3>, SuperTile<Format, 4>}};
  kernel.expansion = {ExpandChunks<Format>, 2, {SuperTile<E, 1>, SuperTile<E, 2>, SuperTile<E, 3>, SuperTile<E, 4, 2>}};
  return kernel;
}

// Codes with high bits.
template <typename Format>
constexpr TileKernel MakeExpandingSuperKernel() {
  using E = ExpandedChunk<Format>;
  TileKernel kernel = MakeSuperKernel<Format>();
  kernel.expansion = {
      ExpandChunks<Format>,
      4,
      {SuperTile<E, 1>, SuperTile<E, 2>, SuperTile<E, 3>, SuperTile<E, 4>, SuperTile<E, 5>, SuperTile<E, 6>}};
  return kernel;
}

}  // namespace
}  // namespace millrace::kernels
