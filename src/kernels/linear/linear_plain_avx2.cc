// AVX2 tiles of the plain types, all against f32 activations: BF16, F16 and F8_E4M3 become f32 in registers.
#include <immintrin.h>

#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

inline const __m256i* Vector(const std::byte* p) {
  return reinterpret_cast<const __m256i*>(p);
}

// Load gives the weights of 8 rows for kValues consecutive k.
struct FormatF32 {
  static constexpr int kValues = 1;
  static constexpr int kStepBytes = 128;
  static void Load(const std::byte* p, int group, __m256 w[kValues]) {
    w[0] = _mm256_castsi256_ps(_mm256_load_si256(Vector(p + group * 32)));
  }
};

struct FormatF16 {
  static constexpr int kValues = 1;
  static constexpr int kStepBytes = 64;
  static void Load(const std::byte* p, int group, __m256 w[kValues]) {
    w[0] = _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p + group * 16)));
  }
};

struct FormatBF16 {
  static constexpr int kValues = 2;
  static constexpr int kStepBytes = 128;
  static void Load(const std::byte* p, int group, __m256 w[kValues]) {
    const __m256i both = _mm256_load_si256(Vector(p + group * 32));
    w[0] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    w[1] = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
};

// The seven low bits, moved up by seven, are the binary16 of the value / 256; only NaN (0x7f) needs its own bits.
struct FormatF8E4M3 {
  static constexpr int kValues = 2;
  static constexpr int kStepBytes = 64;
  static void Load(const std::byte* p, int group, __m256 w[kValues]) {
    const __m256i bytes = _mm256_load_si256(Vector(p + group % 2 * 32));
    const __m256i zero = _mm256_setzero_si256();
    const __m256i words = group < 2 ? _mm256_unpacklo_epi8(zero, bytes) : _mm256_unpackhi_epi8(zero, bytes);
    const __m256i magnitude = _mm256_srli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x7f00)), 1);
    const __m256i nan =
        _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x3f80)), _mm256_set1_epi16(0x7e00));
    const __m256i sign = _mm256_and_si256(words, _mm256_set1_epi16(static_cast<short>(0x8000)));
    const __m256i halves = _mm256_or_si256(_mm256_or_si256(magnitude, nan), sign);
    const __m256i even = _mm256_and_si256(halves, _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_packus_epi32(even, _mm256_srli_epi32(halves, 16));
    const __m256i apart = _mm256_permute4x64_epi64(packed, 0xd8);
    const __m256 factor = _mm256_set1_ps(256.0f);
    w[0] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(apart)), factor);
    w[1] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(apart, 1)), factor);
  }
};

template <typename Format, int kTokens>
void PlainTile(const TileArgs& args) {
  __m256 acc[4][kTokens];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      acc[g][t] = args.resume ? _mm256_load_ps(args.acc + t * kPanelRows + g * 8) : _mm256_setzero_ps();
    }
  }
  const std::byte* w_bytes = args.panel;
  const std::byte* x_bytes = args.x;
  for (int64_t block = args.num_chunks; block > 0; --block) {
    const auto* x = reinterpret_cast<const float*>(x_bytes);
#pragma GCC unroll 2
    for (int k = 0; k < kBlockValues; k += Format::kValues) {
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
        __m256 w[Format::kValues];
        Format::Load(w_bytes, g, w);
#pragma GCC unroll 2
        for (int i = 0; i < Format::kValues; ++i) {
#pragma GCC unroll 4
          for (int t = 0; t < kTokens; ++t) {
            acc[g][t] = _mm256_fmadd_ps(w[i], _mm256_set1_ps(x[t * kBlockValues + k + i]), acc[g][t]);
          }
        }
      }
      w_bytes += Format::kStepBytes;
    }
    x_bytes += args.x_stride;
  }
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) _mm256_store_ps(args.acc + t * kPanelRows + g * 8, acc[g][t]);
  }
}

// 32 rows by 3 tokens: 12 accumulators of 16 registers.
template <typename Format>
constexpr TileKernel MakePlainKernel() {
  return {{ActivationType::kF32}, {3}, {PlainTile<Format, 1>, PlainTile<Format, 2>, PlainTile<Format, 3>}};
}

}  // namespace

const TileKernel kTileF32Avx2 = MakePlainKernel<FormatF32>();
const TileKernel kTileF16Avx2 = MakePlainKernel<FormatF16>();
const TileKernel kTileBF16Avx2 = MakePlainKernel<FormatBF16>();
const TileKernel kTileF8E4M3Avx2 = MakePlainKernel<FormatF8E4M3>();

}  // namespace millrace::kernels
