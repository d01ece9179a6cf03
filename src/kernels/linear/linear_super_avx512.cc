// AVX-512 tiles of the types with blocks of 256 values: Q2_K .. Q6_K and IQ4_XS.
#include "kernels/linear/int8_tile_avx512.h"

namespace millrace::kernels {
namespace {

// d, then a signed byte for each block (or half).
template <int kBits, bool kHalves>
struct SuperScaled {
  static constexpr BlockSum kSum = kHalves ? BlockSum::kOffsetHalves : BlockSum::kOffset;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kScales = kHalves ? 2 : 1;
  static constexpr int kHeaderBytes = 64 + 8 * kScales * kPanelRows;
  static constexpr int kBlockBytes = 128 * kBits;
  static __m512 Scale(const std::byte* chunk, int b, int part, int group) {
    const std::byte* bytes = chunk + 64 + (b * kScales + part) * kPanelRows + group * 16;
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), LoadSignedBytes(bytes));
  }
};

// d, dmin, then scale and min bytes for each block.
template <int kBits>
struct SuperScaledMin {
  static constexpr BlockSum kSum = BlockSum::kFloat;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 128 + 16 * kPanelRows;
  static constexpr int kBlockBytes = 128 * kBits;
  static __m512 Scale(const std::byte* chunk, int b, int, int group) {
    const std::byte* bytes = chunk + 128 + 2 * b * kPanelRows + group * 16;
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), LoadUnsignedBytes(bytes));
  }
  static __m512 NegativeMin(const std::byte* chunk, int b, int, int group) {
    const std::byte* bytes = chunk + 128 + (2 * b + 1) * kPanelRows + group * 16;
    const __m512 negative_dmin = _mm512_xor_ps(LoadHalves(chunk + 64 + group * 32), _mm512_set1_ps(-0.0f));
    return _mm512_mul_ps(negative_dmin, LoadUnsignedBytes(bytes));
  }
};

struct FormatQ2_K {
  static constexpr BlockSum kSum = BlockSum::kFloatHalves;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 128 + 16 * kPanelRows;
  static constexpr int kBlockBytes = 256;
  static __m512i Quad(const std::byte* body, int j, int group) { return BitPair<0>(body, 0, j, group); }
  static __m512i Both(const std::byte* chunk, int b, int part, int group) {
    const std::byte* bytes = chunk + 128 + (2 * b + part) * kPanelRows + group * 16;
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  }
  static __m512 Scale(const std::byte* chunk, int b, int part, int group) {
    const __m512i low = _mm512_and_si512(Both(chunk, b, part, group), _mm512_set1_epi32(15));
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), _mm512_cvtepi32_ps(low));
  }
  static __m512 NegativeMin(const std::byte* chunk, int b, int part, int group) {
    const __m512i high = _mm512_srli_epi32(Both(chunk, b, part, group), 4);
    const __m512 negative_dmin = _mm512_xor_ps(LoadHalves(chunk + 64 + group * 32), _mm512_set1_ps(-0.0f));
    return _mm512_mul_ps(negative_dmin, _mm512_cvtepi32_ps(high));
  }
};

struct FormatQ3_K : SuperScaled<3, true> {
  static constexpr int kOffset = 4;
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_or_si512(BitPair<0>(body, 0, j, group), HighBit<2>(body, 2, j, group));
  }
};

struct FormatQ4_K : SuperScaledMin<4> {
  static __m512i Quad(const std::byte* body, int j, int group) { return Nibbles(body, j, group); }
};

struct FormatQ5_K : SuperScaledMin<5> {
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_or_si512(Nibbles(body, j, group), HighBit<4>(body, 4, j, group));
  }
};

struct FormatQ6_K : SuperScaled<6, true> {
  static constexpr int kOffset = 32;
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_or_si512(Nibbles(body, j, group), BitPair<4>(body, 4, j, group));
  }
};

struct FormatIQ4_XS : SuperScaled<4, false> {
  static constexpr int kOffset = 128;
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_shuffle_epi8(IQ4TablePlus128(), Nibbles(body, j, group));
  }
};

}  // namespace

const TileKernel kTileQ2_KAvx512 = MakeInt8Kernel<FormatQ2_K>();
const TileKernel kTileQ3_KAvx512 = MakeInt8Kernel<FormatQ3_K>();
const TileKernel kTileQ4_KAvx512 = MakeInt8Kernel<FormatQ4_K>();
const TileKernel kTileQ5_KAvx512 = MakeInt8Kernel<FormatQ5_K>();
const TileKernel kTileQ6_KAvx512 = MakeInt8Kernel<FormatQ6_K>();
const TileKernel kTileIQ4_XSAvx512 = MakeInt8Kernel<FormatIQ4_XS>();

}  // namespace millrace::kernels
