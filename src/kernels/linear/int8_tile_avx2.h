// The tile loop of quantised weights on AVX2 without VNNI, for any weight format. Included by *_avx2.cc alone; internal
// linkage throughout.
//
// A register holds 4 values of each of 8 rows. vpmaddubsw gives 16-bit sums of two products; as many of those are added
// as the largest code allows without saturation before they are widened. Codes of 8 bits would saturate at once, so
// those multiply |x| instead, after an xor that makes them signed and fit for the sign of x (Int8SignsBlock).
#pragma once

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/linear/int8_formats.h"

namespace millrace::kernels {
namespace {

struct Ymm {
  using I = __m256i;
  using F = __m256;
  static constexpr int kLanes = 8;
  static constexpr bool kPairedSums = true;
  static I LoadBytes(const std::byte* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
  static I SetBytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static I And(I a, I b) { return _mm256_and_si256(a, b); }
  static I Or(I a, I b) { return _mm256_or_si256(a, b); }
  static I Xor(I a, I b) { return _mm256_xor_si256(a, b); }
  // Bits of a where mask is set, of b elsewhere.
  static I Select(I mask, I a, I b) { return _mm256_or_si256(_mm256_and_si256(mask, a), _mm256_andnot_si256(mask, b)); }
  static I ShiftLeft(I a, int bits) { return _mm256_slli_epi16(a, bits); }
  static I ShiftRight(I a, int bits) { return _mm256_srli_epi16(a, bits); }
  static I LookUp(const void* table, I index) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(static_cast<const __m128i*>(table))), index);
  }
  static I Widen(const std::byte* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static F LoadHalves(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static I WidenSigned(const std::byte* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static I Pair(I low, I high) { return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa); }
  static F LoadExponentsHalved(const std::byte* p) {
    return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(Widen(p), 23)), _mm256_set1_ps(0.5f));
  }
  static F Negate(F a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
};

inline __m256i BroadcastDword(const void* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return _mm256_set1_epi32(value);
}

template <typename Format>
constexpr bool kTakesSigns = Format::kMaxCode > 127;
template <typename Format>
using Activations = std::conditional_t<kTakesSigns<Format>, Int8SignsBlock, Int8Block>;

// dot += scale * the integer products of kQuads quads from `first` on, of kGroups x kTokens registers. The scales are
// 16-bit numbers.
template <typename Format, int kGroups, int kTokens, int kQuads>
[[gnu::always_inline]] inline void AddQuads(const std::byte* codes, const Int8Block* x, int first, int group,
                                            const __m256i scale[kGroups], __m256i dot[kGroups][kTokens]) {
  // Pair sums are at most 2 * 127 * kMaxCode.
  constexpr int kRoom = 32767 / (254 * Format::kMaxCode);
  constexpr int kDepth = kRoom >= kQuads ? kQuads : kRoom >= 4 ? 4 : 2;
  static_assert(kRoom >= 2);
#pragma GCC unroll 8
  for (int start = first; start < first + kQuads; start += kDepth) {
    if constexpr (kDepth == 2 &&
                  kGroups * kTokens > 4) {  // two quads' codes take fewer registers than the sums of all tokens
      __m256i w[2][kGroups];
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
#pragma GCC unroll 4
        for (int g = 0; g < kGroups; ++g) w[i][g] = Format::Quad(codes, start + i, group + g);
      }
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        const __m256i v0 = BroadcastDword(x[t].q + 4 * start);
        const __m256i v1 = BroadcastDword(x[t].q + 4 * start + 4);
#pragma GCC unroll 4
        for (int g = 0; g < kGroups; ++g) {
          const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(w[0][g], v0), _mm256_maddubs_epi16(w[1][g], v1));
          dot[g][t] = _mm256_add_epi32(dot[g][t], _mm256_madd_epi16(pairs, scale[g]));
          asm("" : "+x"(dot[g][t]));
        }
      }
      continue;
    }
    __m256i pairs[kGroups][kTokens];
#pragma GCC unroll 8
    for (int j = start; j < start + kDepth; ++j) {
      __m256i w[kGroups];
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) w[g] = Format::Quad(codes, j, group + g);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        const __m256i v = BroadcastDword(x[t].q + 4 * j);
#pragma GCC unroll 4
        for (int g = 0; g < kGroups; ++g) {
          const __m256i product = _mm256_maddubs_epi16(w[g], v);
          pairs[g][t] = j == start ? product : _mm256_add_epi16(pairs[g][t], product);
          // Keeps g++ from regrouping the additions, for which it spilled every product (Q4_0, 6 tokens, Zen 4: 171
          // GOP/s, with this 233).
          asm("" : "+x"(pairs[g][t]));
        }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        dot[g][t] = _mm256_add_epi32(dot[g][t], _mm256_madd_epi16(pairs[g][t], scale[g]));
      }
    }
  }
}

// The same of codes of 8 bits, value + 128, but for the negatives of x.
template <typename Format, int kGroups, int kTokens, int kQuads>
[[gnu::always_inline]] inline void AddQuads(const std::byte* codes, const Int8SignsBlock* x, int first, int group,
                                            const __m256i scale[kGroups], __m256i dot[kGroups][kTokens]) {
#pragma GCC unroll 8
  for (int j = first; j < first + kQuads; ++j) {
    __m256i w[kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) w[g] = Format::Quad(codes, j, group + g);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const __m256i magnitude = BroadcastDword(x[t].magnitude + 4 * j);
      const __m256i flip = BroadcastDword(x[t].flip + 4 * j);
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_xor_si256(flip, w[g]));
        dot[g][t] = _mm256_add_epi32(dot[g][t], _mm256_madd_epi16(pairs, scale[g]));
        asm("" : "+x"(dot[g][t]));
      }
    }
  }
}

// Rows 8 group .. 8 (group + kGroups) - 1 of the panel.
template <typename Format, int kGroups, int kTokens>
inline void RunGroups(const TileArgs& args, int group) {
  __m256 acc[kGroups][kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      acc[g][t] = args.resume ? _mm256_load_ps(args.acc + t * kPanelRows + (group + g) * 8) : _mm256_setzero_ps();
    }
  }
  const std::byte* chunk = args.panel;
  const std::byte* x_bytes = args.x;
  for (int64_t n = args.num_chunks; n > 0; --n) {
    const std::byte* block = chunk + Format::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < Format::kChunkBlocks; ++b) {
      const auto* x = reinterpret_cast<const Activations<Format>*>(x_bytes);
      __m256i dot[kGroups][kTokens], ones[kGroups];
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        ones[g] = _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) dot[g][t] = _mm256_setzero_si256();
      }
      AddQuads<Format, kGroups, kTokens, 8>(block, x, 0, group, ones, dot);
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        const __m256 scale = Format::Scale(chunk, b, group + g);
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; ++t) {
          if constexpr (kTakesSigns<Format>) {
            dot[g][t] = _mm256_add_epi32(dot[g][t], _mm256_set1_epi32(x[t].negatives));
          } else if constexpr (Format::kOffset != 0) {
            dot[g][t] = _mm256_add_epi32(dot[g][t], _mm256_set1_epi32(x[t].sum.offset[0]));
          }
          __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[g][t]), scale);
          if constexpr (Format::kMins) {
            product = _mm256_fmadd_ps(Format::NegativeMin(chunk, group + g), _mm256_set1_ps(x[t].sum.value), product);
          }
          acc[g][t] = _mm256_fmadd_ps(product, _mm256_set1_ps(x[t].scale), acc[g][t]);
        }
      }
      block += Format::kBlockBytes;
      x_bytes += args.x_stride;
    }
    chunk += Format::kHeaderBytes + Format::kChunkBlocks * Format::kBlockBytes;
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) _mm256_store_ps(args.acc + t * kPanelRows + (group + g) * 8, acc[g][t]);
  }
}

// Few tokens take several registers of rows at a time, so that weights are read in few passes; more tokens fill the 16
// registers alone.
template <typename Format, int kTokens>
void Int8Tile(const TileArgs& args) {
  constexpr int kGroups = kTokens == 1 ? 4 : kTokens <= 3 ? 2 : 1;
  for (int group = 0; group < 4; group += kGroups) RunGroups<Format, kGroups, kTokens>(args, group);
}

template <typename Format>
constexpr TileKernel MakeInt8Kernel() {
  return {{ActivationType::kInt8, Format::kSum, Format::kOffset},
          {6},
          {Int8Tile<Format, 1>, Int8Tile<Format, 2>, Int8Tile<Format, 3>, Int8Tile<Format, 4>, Int8Tile<Format, 5>,
           Int8Tile<Format, 6>}};
}

}  // namespace
}  // namespace millrace::kernels
