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
  static constexpr bool kSignedCodes = false;
  static I LoadBytes(const std::byte* p) { return _mm512_load_si512(p); }
  static I SetBytes(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static I And(I a, I b) { return _mm512_and_si512(a, b); }
  static I Or(I a, I b) { return _mm512_or_si512(a, b); }
  static I Xor(I a, I b) { return _mm512_xor_si512(a, b); }
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
  static F LoadUnsignedBytes(const std::byte* p) { return _mm512_cvtepi32_ps(Widen(p)); }
  static F LoadSignedBytes(const std::byte* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static F LoadLowNibbles(const std::byte* p) {
    return _mm512_cvtepi32_ps(_mm512_and_si512(Widen(p), _mm512_set1_epi32(15)));
  }
  static F LoadHighNibbles(const std::byte* p) { return _mm512_cvtepi32_ps(_mm512_srli_epi32(Widen(p), 4)); }
  static F LoadExponentsHalved(const std::byte* p) {
    return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(Widen(p), 23)), _mm512_set1_ps(0.5f));
  }
  static F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
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

template <typename Format, int kTokens>
void Int8Tile(const TileArgs& args) {
  constexpr int kQuads = 8 / Format::kParts;
  __m512 acc[2][kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    acc[0][t] = args.resume ? _mm512_load_ps(args.acc + t * kPanelRows) : _mm512_setzero_ps();
    acc[1][t] = args.resume ? _mm512_load_ps(args.acc + t * kPanelRows + 16) : _mm512_setzero_ps();
  }

  const std::byte* chunk = args.panel;
  const std::byte* x_bytes = args.x;
  const std::byte* next = args.next;
  for (int64_t n = args.num_chunks; n > 0; --n) {
    const std::byte* block = chunk + Format::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < Format::kChunkBlocks; ++b) {
      const auto* x = reinterpret_cast<const Int8Block*>(x_bytes);
      if constexpr (kTokens >= kPrefetchTokens) {
#pragma GCC unroll 8
        for (int at = 0; at < kTokens * 48; at += 64) {
          _mm_prefetch(reinterpret_cast<const char*>(x_bytes + kPrefetchBlocks * args.x_stride + at), _MM_HINT_T0);
        }
      }
      if (next != nullptr) {
#pragma GCC unroll 1
        for (int line = args.next_lines; line > 0; --line, next += 64) {
          _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T1);
        }
      }
#pragma GCC unroll 2
      for (int part = 0; part < Format::kParts; ++part) {
        __m512i dot[2][kTokens];
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          dot[0][t] = dot[1][t] = Format::kMins ? _mm512_setzero_si512() : _mm512_set1_epi32(x[t].sum.offset[part]);
        }
#pragma GCC unroll 8
        for (int j = part * kQuads; j < (part + 1) * kQuads; ++j) {
          const __m512i w0 = Format::Quad(block + Format::kBlockScaleBytes, j, 0);
          const __m512i w1 = Format::Quad(block + Format::kBlockScaleBytes, j, 1);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) {
            const __m512i v = BroadcastDword(x[t].q + 4 * j);
            dot[0][t] = _mm512_dpbusd_epi32(dot[0][t], w0, v);
            dot[1][t] = _mm512_dpbusd_epi32(dot[1][t], w1, v);
          }
        }
#pragma GCC unroll 2
        for (int group = 0; group < 2; ++group) {
          const __m512 scale = Format::Scale(chunk, block, b, part, group);
#pragma GCC unroll 16
          for (int t = 0; t < kTokens; ++t) {
            __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[group][t]), scale);
            if constexpr (Format::kMins) {
              const __m512 negative_min = Format::NegativeMin(chunk, block, part, group);
              product = _mm512_fmadd_ps(negative_min, _mm512_set1_ps(x[t].sum.value[part]), product);
            }
            acc[group][t] = _mm512_fmadd_ps(product, _mm512_set1_ps(x[t].scale), acc[group][t]);
          }
        }
      }
      block += Format::kBlockBytes;
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

// What ExpandChunks makes of any format: a block is its codes [8 quads][32 rows][4], then its f32 scales [parts][32 rows], then the
// negative mins [parts][32 rows] where there are such.
template <int kPartsOf, bool kMinsOf>
struct ExpandedFormat {
  static constexpr int kParts = kPartsOf;
  static constexpr bool kMins = kMinsOf;
  static constexpr int kChunkBlocks = 1;
  static constexpr int kHeaderBytes = 0;
  static constexpr int kBlockScaleBytes = 0;
  static constexpr int kScaleAt = 8 * kPanelRows * 4;
  static constexpr int kMinAt = kScaleAt + kParts * kPanelRows * 4;
  static constexpr int kBlockBytes = kMinAt + (kMins ? kParts * kPanelRows * 4 : 0);
  static_assert(kBlockBytes <= kMaxExpandedBlockBytes);
  static __m512i Quad(const std::byte* codes, int j, int group) {
    return _mm512_load_si512(codes + j * 128 + group * 64);
  }
  static __m512 Scale(const std::byte*, const std::byte* block, int, int part, int group) {
    return _mm512_load_ps(block + kScaleAt + part * 128 + group * 64);
  }
  static __m512 NegativeMin(const std::byte*, const std::byte* block, int part, int group) {
    return _mm512_load_ps(block + kMinAt + part * 128 + group * 64);
  }
};

template <typename Format>
void ExpandChunks(const std::byte* chunks, int64_t num_chunks, std::byte* out) {
  using To = ExpandedFormat<Format::kParts, Format::kMins>;
  for (int64_t n = num_chunks; n > 0; --n) {
    const std::byte* block = chunks + Format::kHeaderBytes;
#pragma GCC unroll 1
    for (int b = 0; b < Format::kChunkBlocks; ++b) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        for (int group = 0; group < 2; ++group) {
          _mm512_store_si512(out + j * 128 + group * 64, Format::Quad(block + Format::kBlockScaleBytes, j, group));
        }
      }
      for (int part = 0; part < Format::kParts; ++part) {
        for (int group = 0; group < 2; ++group) {
          const int at = part * 128 + group * 64;
          _mm512_store_ps(out + To::kScaleAt + at, Format::Scale(chunks, block, b, part, group));
          if constexpr (Format::kMins) {
            _mm512_store_ps(out + To::kMinAt + at, Format::NegativeMin(chunks, block, part, group));
          }
        }
      }
      block += Format::kBlockBytes;
      out += To::kBlockBytes;
    }
    chunks += Format::kHeaderBytes + Format::kChunkBlocks * Format::kBlockBytes;
  }
}

// 32 rows by 6 tokens: 12 integer and 12 float accumulators of 32 registers.
template <typename Format>
constexpr TileKernel MakeInt8Kernel() {
  return {{ActivationType::kInt8, Format::kSum, Format::kOffset},
          6,
          {Int8Tile<Format, 1>, Int8Tile<Format, 2>, Int8Tile<Format, 3>, Int8Tile<Format, 4>, Int8Tile<Format, 5>,
           Int8Tile<Format, 6>},
          Format::kCodeBytes == 1024 ? 5 : 2};
}

// With expansion, which gains 5-12 % at 512 tokens where there are mins or two scales to a block, and nothing elsewhere.
template <typename Format>
constexpr TileKernel MakeExpandingKernel() {
  using Expanded = ExpandedFormat<Format::kParts, Format::kMins>;
  TileKernel kernel = MakeInt8Kernel<Format>();
  kernel.expand = ExpandChunks<Format>;
  kernel.expanded_tile[0] = Int8Tile<Expanded, 1>;
  kernel.expanded_tile[1] = Int8Tile<Expanded, 2>;
  kernel.expanded_tile[2] = Int8Tile<Expanded, 3>;
  kernel.expanded_tile[3] = Int8Tile<Expanded, 4>;
  kernel.expanded_tile[4] = Int8Tile<Expanded, 5>;
  kernel.expanded_tile[5] = Int8Tile<Expanded, 6>;
  return kernel;
}

}  // namespace
}  // namespace millrace::kernels
