// AVX-512 tiles of the types with a scale for every 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4.
#include "kernels/linear/int8_tile_avx512.h"

namespace millrace::kernels {
namespace {

// One block to a chunk, binary16 scales.
template <int kBits>
struct HalfScaled {
  static constexpr BlockSum kSum = BlockSum::kOffset;
  static constexpr int kChunkBlocks = 1;
  static constexpr int kHeaderBytes = 64;
  static constexpr int kBlockScaleBytes = 0;
  static constexpr int kBlockBytes = 128 * kBits;
  static __m512 Scale(const std::byte* chunk, const std::byte*, int, int, int group) { return LoadHalves(chunk + group * 32); }
};

template <int kBits>
struct HalfScaledMin {
  static constexpr BlockSum kSum = BlockSum::kFloat;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 1;
  static constexpr int kHeaderBytes = 128;
  static constexpr int kBlockScaleBytes = 0;
  static constexpr int kBlockBytes = 128 * kBits;
  static __m512 Scale(const std::byte* chunk, const std::byte*, int, int, int group) { return LoadHalves(chunk + group * 32); }
  static __m512 NegativeMin(const std::byte* chunk, const std::byte*, int, int group) { return LoadHalves(chunk + 64 + group * 32); }
};

struct FormatQ4_0 : HalfScaled<4> {
  static constexpr int kOffset = 8;
  static __m512i Quad(const std::byte* body, int j, int group) { return Nibbles(body, j, group); }
};

struct FormatQ4_1 : HalfScaledMin<4> {
  static __m512i Quad(const std::byte* body, int j, int group) { return Nibbles(body, j, group); }
};

struct FormatQ5_0 : HalfScaled<5> {
  static constexpr int kOffset = 16;
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_or_si512(Nibbles(body, j, group), HighBit<4>(body, 4, j, group));
  }
};

struct FormatQ5_1 : HalfScaledMin<5> {
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_or_si512(Nibbles(body, j, group), HighBit<4>(body, 4, j, group));
  }
};

struct FormatQ8_0 : HalfScaled<8> {
  static constexpr int kOffset = 128;
  static __m512i Quad(const std::byte* body, int j, int group) { return LoadPlane(body, j, group); }
};

struct FormatIQ4_NL : HalfScaled<4> {
  static constexpr int kOffset = 128;
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_shuffle_epi8(IQ4TablePlus128(), Nibbles(body, j, group));
  }
};

struct FormatMXFP4 {
  static constexpr BlockSum kSum = BlockSum::kOffset;
  static constexpr int kOffset = 12;
  static constexpr int kChunkBlocks = 2;
  static constexpr int kHeaderBytes = 64;
  static constexpr int kBlockScaleBytes = 0;
  static constexpr int kBlockBytes = 512;
  static __m512i Quad(const std::byte* body, int j, int group) {
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    return _mm512_shuffle_epi8(table, Nibbles(body, j, group));
  }
  // 2^(e - 128): e shifted into the exponent is 2^(e - 127), and halving it is exact down to e = 1. e = 0 gives 0 for 2^-128.
  static __m512 Scale(const std::byte* chunk, const std::byte*, int b, int, int group) {
    const auto* bytes = reinterpret_cast<const __m128i*>(chunk + b * kPanelRows + group * 16);
    const __m512i exponent = _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes)), 23);
    return _mm512_mul_ps(_mm512_castsi512_ps(exponent), _mm512_set1_ps(0.5f));
  }
};

}  // namespace

const TileKernel kTileQ4_0Avx512 = MakeInt8Kernel<FormatQ4_0>();
const TileKernel kTileQ4_1Avx512 = MakeInt8Kernel<FormatQ4_1>();
const TileKernel kTileQ5_0Avx512 = MakeInt8Kernel<FormatQ5_0>();
const TileKernel kTileQ5_1Avx512 = MakeInt8Kernel<FormatQ5_1>();
const TileKernel kTileQ8_0Avx512 = MakeInt8Kernel<FormatQ8_0>();
const TileKernel kTileIQ4_NLAvx512 = MakeInt8Kernel<FormatIQ4_NL>();
const TileKernel kTileMXFP4Avx512 = MakeInt8Kernel<FormatMXFP4>();

}  // namespace millrace::kernels
