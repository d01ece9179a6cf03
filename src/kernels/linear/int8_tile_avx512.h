// The tile loop of quantised weights on AVX-512 VNNI, for any weight format. Included by *_avx512.cc alone; internal
// linkage throughout.
//
// Lanes are output rows: a register holds 4 values of each of 16 rows, a panel is two registers wide, and a dword of a
// token's activations is broadcast against both. Weights are unsigned; the accumulators start at -offset * (sum of the
// activations).
#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels/linear/int8_formats.h"

namespace millrace::kernels {
namespace {

struct Zmm {
  using I = __m512i;
  using F = __m512;
  static constexpr int kLanes = 16;
  static constexpr bool kPairedSums = false;
  static I LoadBytes(const std::byte* p) { return _mm512_load_si512(p); }
  static I SetBytes(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static I And(I a, I b) { return _mm512_and_si512(a, b); }
  static I Or(I a, I b) { return _mm512_or_si512(a, b); }
  static I Xor(I a, I b) { return _mm512_xor_si512(a, b); }
  // Bits of a where mask is set, of b elsewhere.
  static I Select(I mask, I a, I b) { return _mm512_ternarylogic_epi32(mask, a, b, 0xca); }
  static I ShiftLeft(I a, int bits) { return _mm512_slli_epi16(a, static_cast<unsigned>(bits)); }
  static I ShiftRight(I a, int bits) { return _mm512_srli_epi16(a, static_cast<unsigned>(bits)); }
  static I LookUp(const void* table, I index) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(static_cast<const __m128i*>(table))), index);
  }
  static I Widen(const std::byte* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F LoadHalves(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static I WidenSigned(const std::byte* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static I Pair(I low, I high) { return _mm512_or_si512(low, _mm512_slli_epi32(high, 16)); }
  static F LoadExponentsHalved(const std::byte* p) {
    return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(Widen(p), 23)), _mm512_set1_ps(0.5f));
  }
  static F Negate(F a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
};

inline __m512i BroadcastDword(const void* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return _mm512_set1_epi32(value);
}

// Wide tiles come with many tokens, whose activations stream in from L3: 4 blocks ahead raised K = 8192, 512 tokens
// from 57-63 % of the peak to 67 % on Zen 4; with 3 or 4 tokens the same prefetch cost 20 %, as did any of the weights.
constexpr int kPrefetchTokens = 5;
constexpr int kPrefetchBlocks = 4;

// Tiles of few tokens, which wait for memory, load weights in ascending order.
constexpr int kAscendingTokens = 2;

// Hold holds a load where it stands, HoldLoads all loads. Nibbles are left to the compiler, which gains nothing by
// order there.
[[gnu::always_inline]] inline void Hold(__m512& value) {
  asm volatile("" : "+v"(value));
}
[[gnu::always_inline]] inline void HoldLoads() {
  asm volatile("" ::: "memory");
}

// dot += the integer products of kQuads quads from `first` on.
template <typename Format, int kTokens, int kQuads>
[[gnu::always_inline]] inline void DotQuads(const std::byte* codes, const Int8Block* x, int first,
                                            __m512i dot[2][kTokens]) {
#pragma GCC unroll 8
  for (int j = first; j < first + kQuads; ++j) {
    const __m512i w0 = Format::Quad(codes, j, 0);
    const __m512i w1 = Format::Quad(codes, j, 1);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const __m512i v = BroadcastDword(x[t].q + 4 * j);
      dot[0][t] = _mm512_dpbusd_epi32(dot[0][t], w0, v);
      dot[1][t] = _mm512_dpbusd_epi32(dot[1][t], w1, v);
    }
    if constexpr (kTokens <= kAscendingTokens && Format::kCodeBits != 4) HoldLoads();
  }
}

// Brings the activations of a later block and args.next_lines of the next weights closer.
template <int kTokens>
[[gnu::always_inline]] inline void PrefetchBlock(const TileArgs& args, const std::byte* x, const std::byte** next) {
  if constexpr (kTokens >= kPrefetchTokens) {
#pragma GCC unroll 8
    for (int at = 0; at < kTokens * 48; at += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(x + kPrefetchBlocks * args.x_stride + at), _MM_HINT_T0);
    }
  }
  if (*next != nullptr) {
#pragma GCC unroll 1
    for (int line = args.next_lines; line > 0; --line, *next += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(*next), _MM_HINT_T1);
    }
  }
}

// Float accumulators that find room in registers beside the integer ones, weights and activations; the others of a wide
// tile stay in memory, in L1.
template <int kTokens>
constexpr bool InRegister(int group, int t) {
  return group * kTokens + t < 28 - 2 * kTokens;
}

template <typename Format, int kTokens>
void Int8Tile(const TileArgs& args) {
  __m512 acc[2][kTokens];
#pragma GCC unroll 2
  for (int group = 0; group < 2; ++group) {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      float* at = args.acc + t * kPanelRows + group * 16;
      const __m512 sum = args.resume ? _mm512_load_ps(at) : _mm512_setzero_ps();
      if (InRegister<kTokens>(group, t)) {
        acc[group][t] = sum;
      } else if (!args.resume) {
        _mm512_store_ps(at, sum);
      }
    }
  }

  const std::byte* chunk = args.panel;
  const std::byte* x_bytes = args.x;
  const std::byte* next = args.next;
  for (int64_t n = args.num_chunks; n > 0; --n) {
    const std::byte* block = chunk + Format::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < Format::kChunkBlocks; ++b) {
      const auto* x = reinterpret_cast<const Int8Block*>(x_bytes);
      PrefetchBlock<kTokens>(args, x_bytes, &next);
      __m512 early_scale[2];
      if constexpr (kTokens <= kAscendingTokens) {
        for (int group = 0; group < 2; ++group) Hold(early_scale[group] = Format::Scale(chunk, b, group));
      }
      __m512i dot[2][kTokens];
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        dot[0][t] = dot[1][t] = Format::kMins ? _mm512_setzero_si512() : _mm512_set1_epi32(x[t].sum.offset[0]);
      }
      DotQuads<Format, kTokens, 8>(block, x, 0, dot);
#pragma GCC unroll 2
      for (int group = 0; group < 2; ++group) {
        const __m512 scale = kTokens <= kAscendingTokens ? early_scale[group] : Format::Scale(chunk, b, group);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[group][t]), scale);
          if constexpr (Format::kMins) {
            const __m512 negative_min = Format::NegativeMin(chunk, group);
            product = _mm512_fmadd_ps(negative_min, _mm512_set1_ps(x[t].sum.value), product);
          }
          const __m512 x_scale = _mm512_set1_ps(x[t].scale);
          if (InRegister<kTokens>(group, t)) {
            acc[group][t] = _mm512_fmadd_ps(product, x_scale, acc[group][t]);
          } else {
            float* at = args.acc + t * kPanelRows + group * 16;
            _mm512_store_ps(at, _mm512_fmadd_ps(product, x_scale, _mm512_load_ps(at)));
          }
        }
      }
      block += Format::kBlockBytes;
      x_bytes += args.x_stride;
    }
    chunk += Format::kHeaderBytes + Format::kChunkBlocks * Format::kBlockBytes;
  }
#pragma GCC unroll 2
  for (int group = 0; group < 2; ++group) {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      if (InRegister<kTokens>(group, t)) _mm512_store_ps(args.acc + t * kPanelRows + group * 16, acc[group][t]);
    }
  }
}

// 32 rows by 6 tokens: 12 integer and 12 float accumulators of 32 registers. 7 or 8 tokens take one tile all the same:
// a single pass unpacks weights once and fetches them evenly.
template <typename Format>
constexpr TileKernel MakeInt8Kernel() {
  return {{ActivationType::kInt8, Format::kSum, Format::kOffset},
          {6, 8, 8},
          {Int8Tile<Format, 1>, Int8Tile<Format, 2>, Int8Tile<Format, 3>, Int8Tile<Format, 4>, Int8Tile<Format, 5>,
           Int8Tile<Format, 6>, Int8Tile<Format, 7>, Int8Tile<Format, 8>},
          Format::kCodeBits == 8 ? 5 : 2};
}

}  // namespace
}  // namespace millrace::kernels
