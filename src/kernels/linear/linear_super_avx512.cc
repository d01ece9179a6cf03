// AVX-512 tiles of the types with blocks of 256 values: Q2_K .. Q6_K and IQ4_XS.
#include "kernels/linear/int8_tile_avx512.h"

namespace millrace::kernels {
namespace {

// d for the chunk, a signed byte for each half before the codes of a block.
template <int kBits>
struct SuperScaledHalves {
  static constexpr BlockSum kSum = BlockSum::kOffsetHalves;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 64;
  static constexpr int kBlockScaleBytes = 64;
  static constexpr int kBlockBytes = 64 + 128 * kBits;
  static __m512 Scale(const std::byte* chunk, const std::byte* block, int, int part, int group) {
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), LoadSignedBytes(block + part * kPanelRows + group * 16));
  }
};

// d and dmin for the chunk, a scale and a min byte before the codes of a block.
template <int kBits>
struct SuperScaledMin {
  static constexpr BlockSum kSum = BlockSum::kFloat;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 128;
  static constexpr int kBlockScaleBytes = 64;
  static constexpr int kBlockBytes = 64 + 128 * kBits;
  static __m512 Scale(const std::byte* chunk, const std::byte* block, int, int, int group) {
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), LoadUnsignedBytes(block + group * 16));
  }
  static __m512 NegativeMin(const std::byte* chunk, const std::byte* block, int, int group) {
    const __m512 negative_dmin = _mm512_xor_ps(LoadHalves(chunk + 64 + group * 32), _mm512_set1_ps(-0.0f));
    return _mm512_mul_ps(negative_dmin, LoadUnsignedBytes(block + kPanelRows + group * 16));
  }
};

struct FormatQ2_K {
  static constexpr BlockSum kSum = BlockSum::kFloatHalves;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 128;
  static constexpr int kBlockScaleBytes = 64;
  static constexpr int kBlockBytes = 64 + 256;
  static __m512i Quad(const std::byte* body, int j, int group) { return BitPair<0>(body, 0, j, group); }
  static __m512i Both(const std::byte* block, int part, int group) {
    const std::byte* bytes = block + part * kPanelRows + group * 16;
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  }
  static __m512 Scale(const std::byte* chunk, const std::byte* block, int, int part, int group) {
    const __m512i low = _mm512_and_si512(Both(block, part, group), _mm512_set1_epi32(15));
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), _mm512_cvtepi32_ps(low));
  }
  static __m512 NegativeMin(const std::byte* chunk, const std::byte* block, int part, int group) {
    const __m512i high = _mm512_srli_epi32(Both(block, part, group), 4);
    const __m512 negative_dmin = _mm512_xor_ps(LoadHalves(chunk + 64 + group * 32), _mm512_set1_ps(-0.0f));
    return _mm512_mul_ps(negative_dmin, _mm512_cvtepi32_ps(high));
  }
};

struct FormatQ3_K : SuperScaledHalves<3> {
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

struct FormatQ6_K : SuperScaledHalves<6> {
  static constexpr int kOffset = 32;
  static __m512i Quad(const std::byte* body, int j, int group) {
    return _mm512_or_si512(Nibbles(body, j, group), BitPair<4>(body, 4, j, group));
  }
};

// d, then a signed byte for each of the 8 blocks.
struct FormatIQ4_XS {
  static constexpr BlockSum kSum = BlockSum::kOffset;
  static constexpr int kOffset = 128;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 64 + 8 * kPanelRows;
  static constexpr int kBlockScaleBytes = 0;
  static constexpr int kBlockBytes = 512;
  static __m512 Scale(const std::byte* chunk, const std::byte*, int b, int, int group) {
    return _mm512_mul_ps(LoadHalves(chunk + group * 32), LoadSignedBytes(chunk + 64 + b * kPanelRows + group * 16));
  }
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
