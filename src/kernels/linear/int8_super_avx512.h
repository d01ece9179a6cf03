// The tile loop of the types with chunks of 256 values on AVX-512 VNNI. Included by *_avx512.cc alone; internal linkage
// throughout.
//
// A chunk's products are summed in units of its factor and of the activations' scale, both of which the chunk shares,
// so that a block (or half) costs one FMA beside its dot products: sum += scale * dot, whole numbers all. Mins are
// summed as integers.
#pragma once

#include "kernels/linear/int8_tile_avx512.h"

namespace millrace::kernels {
namespace {

// mins += the mins of the blocks or halves that share a pair with block b, of kGroups groups of rows from `first` on.
template <typename Format, int kTokens, int kGroups>
[[gnu::always_inline]] inline void AddMins(const std::byte* chunk, int b, const Int8Block* x, int first,
                                           __m512i mins[2][kTokens]) {
  __m512i w[kGroups];
#pragma GCC unroll 2
  for (int i = 0; i < kGroups; ++i) w[i] = Format::MinPair(chunk, b, first + i);
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    const __m512i v = BroadcastDword(x[t].sum.pair);
#pragma GCC unroll 2
    for (int i = 0; i < kGroups; ++i) mins[first + i][t] = _mm512_dpwssd_epi32(mins[first + i][t], w[i], v);
  }
}

// sum += scale * the integer products of a block.
template <typename Format, int kTokens>
[[gnu::always_inline]] inline void AddBlock(const std::byte* chunk, const std::byte* block, int b, const Int8Block* x,
                                            __m512 sum[2][kTokens]) {
  constexpr int kQuads = 8 / Format::kParts;
#pragma GCC unroll 2
  for (int part = 0; part < Format::kParts; ++part) {
    __m512 early_scale[2];
    if constexpr (kTokens <= kAscendingTokens) {
      for (int group = 0; group < 2; ++group)
        Hold(early_scale[group] = Format::ScaleFloats(chunk, block, b, part, group));
    }
    __m512i dot[2][kTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      dot[0][t] = dot[1][t] = Format::kMins ? _mm512_setzero_si512() : _mm512_set1_epi32(x[t].sum.offset[part]);
    }
    DotQuads<Format, kTokens, kQuads>(block + Format::kBlockScaleBytes, x, part * kQuads, dot);
#pragma GCC unroll 2
    for (int group = 0; group < 2; ++group) {
      const __m512 scale =
          kTokens <= kAscendingTokens ? early_scale[group] : Format::ScaleFloats(chunk, block, b, part, group);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t)
        sum[group][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[group][t]), scale, sum[group][t]);
    }
  }
}

// Factors of the rows of a chunk.
template <typename Format>
struct Factors {
  __m512 scale[2], negative_min[2];

  [[gnu::always_inline]] explicit Factors(const std::byte* chunk) {
    for (int group = 0; group < 2; ++group) {
      scale[group] = Format::Factor(chunk, group);
      if constexpr (Format::kMins) negative_min[group] = Format::NegativeMinFactor(chunk, group);
    }
  }
  [[gnu::always_inline]] void HoldAll() {
    for (int group = 0; group < 2; ++group) {
      Hold(scale[group]);
      if constexpr (Format::kMins) Hold(negative_min[group]);
    }
  }
};

template <typename Format, int kTokens>
void SuperTile(const TileArgs& args) {
  constexpr bool kAscending = kTokens <= kAscendingTokens;
  constexpr int kPairBlocks = Format::kParts == 2 ? 1 : 2;
  constexpr int kMinGroups = kTokens > 4 ? 1 : 2;  // at a time, beside the sums, for want of registers
  if (!args.resume) std::memset(args.acc, 0, kTokens * kPanelRows * sizeof(float));
  const std::byte* chunk = args.panel;
  const std::byte* x_bytes = args.x;
  const std::byte* next = args.next;
  for (int64_t n = args.num_chunks; n > 0; --n) {
    const auto x_of = [x_bytes, &args](int b) {
      return reinterpret_cast<const Int8Block*>(x_bytes + b * args.x_stride);
    };
    const std::byte* blocks = chunk + Format::kHeaderBytes;
    Factors<Format> early(chunk);
    if constexpr (kAscending) early.HoldAll();
    __m512 sum[2][kTokens];
    __m512i mins[2][kTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      sum[0][t] = sum[1][t] = _mm512_setzero_ps();
      mins[0][t] = mins[1][t] = _mm512_setzero_si512();
    }
#pragma GCC unroll 1
    for (int b = 0; b < kSuperBlocks; b += kPairBlocks) {
#pragma GCC unroll 2
      for (int i = 0; i < kPairBlocks; ++i) {
        PrefetchBlock<kTokens>(args, x_bytes + (b + i) * args.x_stride, &next);
        AddBlock<Format, kTokens>(chunk, blocks + (b + i) * Format::kBlockBytes, b + i, x_of(b + i), sum);
      }
      if constexpr (Format::kMins && kAscending) AddMins<Format, kTokens, 2>(chunk, b, x_of(b), 0, mins);
    }
    const Factors<Format> late(kAscending ? args.panel : chunk);
    const Factors<Format>& factors = kAscending ? early : late;
#pragma GCC unroll 2
    for (int group = 0; group < 2; ++group) {
      if constexpr (Format::kMins && !kAscending) {
        if (group % kMinGroups == 0) {
#pragma GCC unroll 1
          for (int b = 0; b < kSuperBlocks; b += kPairBlocks)
            AddMins<Format, kTokens, kMinGroups>(chunk, b, x_of(b), group, mins);
        }
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        __m512 product = _mm512_mul_ps(sum[group][t], factors.scale[group]);
        if constexpr (Format::kMins) {
          product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(mins[group][t]), factors.negative_min[group], product);
        }
        float* at = args.acc + t * kPanelRows + group * 16;
        _mm512_store_ps(at, _mm512_fmadd_ps(product, _mm512_set1_ps(x_of(0)[t].scale), _mm512_load_ps(at)));
      }
    }
    chunk = blocks + kSuperBlocks * Format::kBlockBytes;
    x_bytes += kSuperBlocks * args.x_stride;
  }
}

// A format's chunk as it is packed.
template <typename Format>
struct PackedChunk : Format {
  static __m512 ScaleFloats(const std::byte* chunk, const std::byte* block, int b, int part, int group) {
    return _mm512_cvtepi32_ps(Format::Scale(chunk, block, b, part, group));
  }
  static __m512i MinPair(const std::byte* chunk, int b, int group) {
    return Format::MinPair(chunk + Format::kHeaderBytes + b * Format::kBlockBytes, Format::kBlockBytes, group);
  }
};

// What ExpandChunks makes of any format. A chunk is its factors f32 [32 rows], negative min factors [32] and pairs of
// mins [4 or 8][32][2] where there are such, then 8 blocks of codes [8 quads][32 rows][4] and f32 scales [parts][32
// rows].
template <typename Format>
struct ExpandedChunk {
  static constexpr int kParts = Format::kParts;
  static constexpr int kCodeBits = 8;
  static constexpr bool kMins = Format::kMins;
  static constexpr int kRowBytes = kPanelRows * 4;
  static constexpr int kPairBlocks = kParts == 2 ? 1 : 2;
  static constexpr int kPairsAt = 2 * kRowBytes;
  static constexpr int kHeaderBytes = kMins ? kPairsAt + kSuperBlocks / kPairBlocks * kRowBytes : kRowBytes;
  static constexpr int kBlockScaleBytes = 0;
  static constexpr int kScaleAt = 8 * kRowBytes;
  static constexpr int kBlockBytes = kScaleAt + kParts * kRowBytes;
  static_assert(kHeaderBytes + kSuperBlocks * kBlockBytes <= kMaxExpandedChunkBytes);
  static __m512i Quad(const std::byte* codes, int j, int group) {
    return _mm512_load_si512(codes + j * kRowBytes + group * 64);
  }
  static __m512 Factor(const std::byte* chunk, int group) { return _mm512_load_ps(chunk + group * 64); }
  static __m512 NegativeMinFactor(const std::byte* chunk, int group) {
    return _mm512_load_ps(chunk + kRowBytes + group * 64);
  }
  static __m512i MinPair(const std::byte* chunk, int b, int group) {
    return _mm512_load_si512(chunk + kPairsAt + b / kPairBlocks * kRowBytes + group * 64);
  }
  static __m512 ScaleFloats(const std::byte*, const std::byte* block, int, int part, int group) {
    return _mm512_load_ps(block + kScaleAt + part * kRowBytes + group * 64);
  }
};

template <typename Packed>
void ExpandChunks(const std::byte* chunks, int64_t num_chunks, std::byte* out) {
  using To = ExpandedChunk<Packed>;
  for (int64_t n = num_chunks; n > 0; --n) {
    for (int group = 0; group < 2; ++group) {
      _mm512_store_ps(out + group * 64, Packed::Factor(chunks, group));
      if constexpr (Packed::kMins) {
        _mm512_store_ps(out + To::kRowBytes + group * 64, Packed::NegativeMinFactor(chunks, group));
        for (int b = 0; b < kSuperBlocks; b += To::kPairBlocks) {
          _mm512_store_si512(out + To::kPairsAt + b / To::kPairBlocks * To::kRowBytes + group * 64,
                             Packed::MinPair(chunks, b, group));
        }
      }
    }
    out += To::kHeaderBytes;
    const std::byte* block = chunks + Packed::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < kSuperBlocks; ++b) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        for (int group = 0; group < 2; ++group) {
          _mm512_store_si512(out + j * To::kRowBytes + group * 64,
                             Packed::Quad(block + Packed::kBlockScaleBytes, j, group));
        }
      }
      for (int part = 0; part < To::kParts; ++part) {
        for (int group = 0; group < 2; ++group) {
          _mm512_store_ps(out + To::kScaleAt + part * To::kRowBytes + group * 64,
                          Packed::ScaleFloats(chunks, block, b, part, group));
        }
      }
      block += Packed::kBlockBytes;
      out += To::kBlockBytes;
    }
    chunks = block;
  }
}

// Tiles of 8 tokens spill a few sums, which costs less than unpacking the weights for more tiles. From 6 tiles on
// weights are expanded.
constexpr int64_t kWideUntil = 40;

// 32 rows by 6 tokens: 12 integer and 12 float accumulators of 32 registers.
template <typename Format>
constexpr TileKernel MakeSuperKernel() {
  using P = PackedChunk<Format>;
  return {{ActivationType::kInt8, Format::kSum, Format::kOffset, kSuperBlocks},
          {6, 8, kWideUntil},
          {SuperTile<P, 1>, SuperTile<P, 2>, SuperTile<P, 3>, SuperTile<P, 4>, SuperTile<P, 5>, SuperTile<P, 6>,
           SuperTile<P, 7>, SuperTile<P, 8>},
          2};
}

// With expansion, which pays where there are mins, two scales to a block or high bits.
template <typename Format>
constexpr TileKernel MakeExpandingKernel() {
  using E = ExpandedChunk<PackedChunk<Format>>;
  TileKernel kernel = MakeSuperKernel<Format>();
  kernel.expansion = {
      ExpandChunks<PackedChunk<Format>>,
      6,
      {SuperTile<E, 1>, SuperTile<E, 2>, SuperTile<E, 3>, SuperTile<E, 4>, SuperTile<E, 5>, SuperTile<E, 6>}};
  return kernel;
}

}  // namespace
}  // namespace millrace::kernels
