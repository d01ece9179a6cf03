// The tile loop of quantised weights on AVX-512 VNNI, for a weight format given as a policy. Included by *_avx512.cc alone; everything has
// internal linkage, so that no AVX-512 code can replace another file's.
//
// Lanes are output rows: a register holds 4 values of each of 16 rows, a panel is two registers wide, and a dword of a token's
// activations is broadcast against both. Weights are unsigned; the accumulators start at -offset * (sum of the activations).
#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

inline __m512i LoadPlane(const std::byte* body, int plane, int group) {
  return _mm512_load_si512(body + plane * 128 + group * 64);
}

inline __m512i BroadcastDword(const void* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return _mm512_set1_epi32(value);
}

inline __m512 LoadHalves(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

inline __m512 LoadUnsignedBytes(const std::byte* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

inline __m512 LoadSignedBytes(const std::byte* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

// Quad j of a nibble plane.
inline __m512i Nibbles(const std::byte* body, int j, int group) {
  const __m512i mask = _mm512_set1_epi8(15);
  const __m512i both = LoadPlane(body, j % 4, group);
  return _mm512_and_si512(j < 4 ? both : _mm512_srli_epi16(both, 4), mask);
}

// Bit j of each byte of a plane, moved to bit `to`.
template <int kTo>
inline __m512i HighBit(const std::byte* body, int plane, int j, int group) {
  const __m512i bits = LoadPlane(body, plane, group);
  const __m512i moved = j < kTo ? _mm512_slli_epi16(bits, static_cast<unsigned>(kTo - j))
                                : _mm512_srli_epi16(bits, static_cast<unsigned>(j - kTo));
  return _mm512_and_si512(moved, _mm512_set1_epi8(1 << kTo));
}

// Bits 2 (j % 4) and 2 (j % 4) + 1 of each byte of plane first + j / 4, moved to bits `to` and `to` + 1.
template <int kTo>
inline __m512i BitPair(const std::byte* body, int first, int j, int group) {
  const __m512i bits = LoadPlane(body, first + j / 4, group);
  const int from = j % 4 * 2;
  const __m512i moved = from < kTo ? _mm512_slli_epi16(bits, static_cast<unsigned>(kTo - from))
                                   : _mm512_srli_epi16(bits, static_cast<unsigned>(from - kTo));
  return _mm512_and_si512(moved, _mm512_set1_epi8(3 << kTo));
}

// kIQ4Values + 128.
inline __m512i IQ4TablePlus128() {
  return _mm512_broadcast_i32x4(
      _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, static_cast<char>(129), static_cast<char>(141), static_cast<char>(153),
                    static_cast<char>(166), static_cast<char>(181), static_cast<char>(197), static_cast<char>(217),
                    static_cast<char>(241)));
}

template <typename Format, int kTokens>
void Int8Tile(const TileArgs& args) {
  constexpr bool kMins = Format::kSum == BlockSum::kFloat || Format::kSum == BlockSum::kFloatHalves;
  constexpr int kParts = Format::kSum == BlockSum::kOffsetHalves || Format::kSum == BlockSum::kFloatHalves ? 2 : 1;
  constexpr int kQuads = 8 / kParts;
  __m512 acc[2][kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) acc[0][t] = acc[1][t] = _mm512_setzero_ps();

  const std::byte* chunk = args.panel;
  const std::byte* x_bytes = args.x;
  for (int64_t n = args.num_chunks; n > 0; --n) {
    const std::byte* body = chunk + Format::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < Format::kChunkBlocks; ++b) {
      const auto* x = reinterpret_cast<const Int8Block*>(x_bytes);
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) {
        __m512i dot[2][kTokens];
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          dot[0][t] = dot[1][t] = kMins ? _mm512_setzero_si512() : _mm512_set1_epi32(x[t].sum.offset[part]);
        }
#pragma GCC unroll 8
        for (int j = part * kQuads; j < (part + 1) * kQuads; ++j) {
          const __m512i w0 = Format::Quad(body + Format::kBlockScaleBytes, j, 0);
          const __m512i w1 = Format::Quad(body + Format::kBlockScaleBytes, j, 1);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) {
            const __m512i v = BroadcastDword(x[t].q + 4 * j);
            dot[0][t] = _mm512_dpbusd_epi32(dot[0][t], w0, v);
            dot[1][t] = _mm512_dpbusd_epi32(dot[1][t], w1, v);
          }
        }
#pragma GCC unroll 2
        for (int group = 0; group < 2; ++group) {
          const __m512 scale = Format::Scale(chunk, body, b, part, group);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) {
            __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[group][t]), scale);
            if constexpr (kMins) {
              product = _mm512_fmadd_ps(Format::NegativeMin(chunk, body, part, group), _mm512_set1_ps(x[t].sum.value[part]), product);
            }
            acc[group][t] = _mm512_fmadd_ps(product, _mm512_set1_ps(x[t].scale), acc[group][t]);
          }
        }
      }
      body += Format::kBlockBytes;
      x_bytes += args.x_stride;
    }
    chunk += Format::kHeaderBytes + Format::kChunkBlocks * Format::kBlockBytes;
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    _mm512_store_ps(args.acc + t * kPanelRows, acc[0][t]);
    _mm512_store_ps(args.acc + t * kPanelRows + 16, acc[1][t]);
  }
}

// 32 rows by 6 tokens: 12 integer and 12 float accumulators of 32 registers.
template <typename Format>
constexpr TileKernel MakeInt8Kernel() {
  return {{ActivationType::kInt8, Format::kSum, Format::kOffset},
          6,
          {Int8Tile<Format, 1>, Int8Tile<Format, 2>, Int8Tile<Format, 3>, Int8Tile<Format, 4>, Int8Tile<Format, 5>,
           Int8Tile<Format, 6>}};
}

}  // namespace
}  // namespace millrace::kernels
