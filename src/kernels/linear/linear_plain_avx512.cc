// AVX-512 tiles of the plain types: BF16 and F8_E4M3 against bf16 activations (vdpbf16ps), F32 and F16 against f32.
#include <immintrin.h>

#include <cstring>

#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

// A step multiplies the 32 rows of a panel with one dword of each token: two bf16 or one f32.
struct FormatBF16 {
  static constexpr int kSteps = 16;
  static constexpr int kStepBytes = 128;
  static constexpr ActivationType kType = ActivationType::kBf16;
  static void Load(const std::byte* p, __m512i w[2]) {
    w[0] = _mm512_load_si512(p);
    w[1] = _mm512_load_si512(p + 64);
  }
};

// bf16 bits of the 128 magnitudes, low and high bytes apart: what vpermi2b looks up.
struct F8Tables {
  alignas(64) uint8_t low[128];
  alignas(64) uint8_t high[128];
};

constexpr F8Tables MakeF8Tables() {
  F8Tables tables = {};
  for (int v = 0; v < 128; ++v) {
    int exponent = v >> 3;
    int mantissa = v & 7;
    int bits = 0;
    if (v == 127) {
      bits = 0x7fc0;
    } else if (exponent > 0) {
      bits = (exponent - 7 + 127) << 7 | mantissa << 4;
    } else if (mantissa > 0) {
      exponent = 1 - 7 + 127;
      while (mantissa < 8) {
        mantissa *= 2;
        --exponent;
      }
      bits = exponent << 7 | (mantissa & 7) << 4;
    }
    tables.low[v] = static_cast<uint8_t>(bits & 255);
    tables.high[v] = static_cast<uint8_t>(bits >> 8);
  }
  return tables;
}

constexpr F8Tables kF8Tables = MakeF8Tables();

struct FormatF8E4M3 {
  static constexpr int kSteps = 16;
  static constexpr int kStepBytes = 64;
  static constexpr ActivationType kType = ActivationType::kBf16;
  static void Load(const std::byte* p, __m512i w[2]) {
    const __m512i v = _mm512_load_si512(p);
    const __m512i low =
        _mm512_permutex2var_epi8(_mm512_load_si512(kF8Tables.low), v, _mm512_load_si512(kF8Tables.low + 64));
    const __m512i magnitude =
        _mm512_permutex2var_epi8(_mm512_load_si512(kF8Tables.high), v, _mm512_load_si512(kF8Tables.high + 64));
    const __m512i sign = _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(0x80)));
    const __m512i high = _mm512_or_si512(magnitude, sign);
    w[0] = _mm512_unpacklo_epi8(low, high);
    w[1] = _mm512_unpackhi_epi8(low, high);
  }
};

struct FormatF32 {
  static constexpr int kSteps = 32;
  static constexpr int kStepBytes = 128;
  static constexpr ActivationType kType = ActivationType::kF32;
  static void Load(const std::byte* p, __m512i w[2]) {
    w[0] = _mm512_load_si512(p);
    w[1] = _mm512_load_si512(p + 64);
  }
};

struct FormatF16 {
  static constexpr int kSteps = 32;
  static constexpr int kStepBytes = 64;
  static constexpr ActivationType kType = ActivationType::kF32;
  static void Load(const std::byte* p, __m512i w[2]) {
    w[0] = _mm512_castps_si512(_mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p))));
    w[1] = _mm512_castps_si512(_mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p + 32))));
  }
};

template <typename Format>
inline __m512 MultiplyAdd(__m512 acc, __m512i w, __m512i x) {
  if constexpr (Format::kType == ActivationType::kBf16) {
    return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(x));
  } else {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), acc);
  }
}

template <typename Format, int kTokens>
void PlainTile(const TileArgs& args) {
  constexpr int kTokenBytes = EncodedBlockBytes(Format::kType);
  __m512 acc[2][kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    acc[0][t] = args.resume ? _mm512_load_ps(args.acc + t * kPanelRows) : _mm512_setzero_ps();
    acc[1][t] = args.resume ? _mm512_load_ps(args.acc + t * kPanelRows + 16) : _mm512_setzero_ps();
  }
  const std::byte* w_bytes = args.panel;
  const std::byte* x = args.x;
  const std::byte* next = args.next;
  for (int64_t block = args.num_chunks; block > 0; --block) {
    if (next != nullptr) {
#pragma GCC unroll 1
      for (int line = args.next_lines; line > 0; --line, next += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T1);
      }
    }
#pragma GCC unroll 4
    for (int step = 0; step < Format::kSteps; ++step) {
      __m512i w[2];
      Format::Load(w_bytes + step * Format::kStepBytes, w);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        int32_t dword;
        std::memcpy(&dword, x + t * kTokenBytes + step * 4, 4);
        const __m512i v = _mm512_set1_epi32(dword);
        acc[0][t] = MultiplyAdd<Format>(acc[0][t], w[0], v);
        acc[1][t] = MultiplyAdd<Format>(acc[1][t], w[1], v);
      }
    }
    w_bytes += Format::kSteps * Format::kStepBytes;
    x += args.x_stride;
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    _mm512_store_ps(args.acc + t * kPanelRows, acc[0][t]);
    _mm512_store_ps(args.acc + t * kPanelRows + 16, acc[1][t]);
  }
}

// 32 rows by 12 tokens: 24 accumulators of 32 registers.
template <typename Format>
constexpr TileKernel MakePlainKernel() {
  return {{Format::kType},
          {12},
          {PlainTile<Format, 1>, PlainTile<Format, 2>, PlainTile<Format, 3>, PlainTile<Format, 4>, PlainTile<Format, 5>,
           PlainTile<Format, 6>, PlainTile<Format, 7>, PlainTile<Format, 8>, PlainTile<Format, 9>,
           PlainTile<Format, 10>, PlainTile<Format, 11>, PlainTile<Format, 12>}};
}

}  // namespace

const TileKernel kTileBF16Avx512 = MakePlainKernel<FormatBF16>();
const TileKernel kTileF8E4M3Avx512 = MakePlainKernel<FormatF8E4M3>();
const TileKernel kTileF32Avx512 = MakePlainKernel<FormatF32>();
const TileKernel kTileF16Avx512 = MakePlainKernel<FormatF16>();

}  // namespace millrace::kernels
