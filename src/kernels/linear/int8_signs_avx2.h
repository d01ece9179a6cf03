// The tile loop of 8-bit codes with a scale for every 32 values on AVX2 without VNNI. Included by *_avx2.cc alone;
// internal linkage throughout.
//
// vpmaddubsw multiplies unsigned by signed bytes. |x| is the unsigned factor; the other is the code, made to fit the
// sign of x by xor (Int8SignsBlock), which all four vector pipes of Zen 4 do, where vpsignb takes one of the two that
// multiply. A product of 32 values is thus four operations on four pipes, and the rest is loads: 3 tokens of 32 rows
// fold the codes into the xor and broadcast half a dword each.
#pragma once

#include "kernels/linear/int8_tile_avx2.h"

namespace millrace::kernels {
namespace {

// a ^ *p as one operation: g++ keeps codes that several tokens share in registers, and spills sums for them.
[[gnu::always_inline]] inline __m256i XorLoad(__m256i a, const std::byte* p) {
  __m256i out;
  asm("vpxor %2, %1, %0" : "=x"(out) : "x"(a), "m"(*reinterpret_cast<const __m256i*>(p)));
  return out;
}

// acc += a block of all rows of a panel times that of each token. codes [8 quads][32 rows][4], each a value + 128.
template <int kTokens>
[[gnu::always_inline]] inline void AddSignsBlock(const std::byte* codes, const float scales[kPanelRows],
                                                 const Int8SignsBlock* x, float* acc) {
  constexpr int kGroups = kPanelRows / 8;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i dot[kTokens][kGroups];
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      __m256i magnitude = BroadcastDword(x[t].magnitude + 4 * j);
      __m256i flip = BroadcastDword(x[t].flip + 4 * j);
      asm("" : "+x"(magnitude), "+x"(flip));
      const __m256i negatives = BroadcastDword(&x[t].negatives);
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        const __m256i pairs = _mm256_maddubs_epi16(magnitude, XorLoad(flip, codes + (j * kPanelRows + g * 8) * 4));
        dot[t][g] = _mm256_add_epi32(j == 0 ? negatives : dot[t][g], _mm256_madd_epi16(pairs, ones));
        asm("" : "+x"(dot[t][g]));
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
    const __m256 x_scale = _mm256_set1_ps(x[t].scale);
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      float* at = acc + t * kPanelRows + g * 8;
      const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[t][g]), _mm256_load_ps(scales + g * 8));
      _mm256_store_ps(at, _mm256_fmadd_ps(product, x_scale, _mm256_load_ps(at)));
    }
  }
}

// Codes as bytes, with a binary16 scale or, as expanded, one of f32.
template <typename Format, int kTokens>
void SignsTile(const TileArgs& args) {
  if (!args.resume) std::memset(args.acc, 0, kTokens * kPanelRows * sizeof(float));
  const std::byte* block = args.panel;
  const std::byte* x = args.x;
#pragma GCC unroll 1
  for (int64_t n = args.num_chunks; n > 0; --n) {
    asm volatile("" : : : "memory");  // outputs stay in memory between blocks
    alignas(32) float scales[kPanelRows];
#pragma GCC unroll 4
    for (int g = 0; g < kPanelRows / 8; ++g) _mm256_store_ps(scales + g * 8, Format::Scale(block, 0, g));
    asm volatile("" : : : "memory");
    AddSignsBlock<kTokens>(block + Format::kHeaderBytes, scales, reinterpret_cast<const Int8SignsBlock*>(x), args.acc);
    block += Format::kHeaderBytes + Format::kBlockBytes;
    x += args.x_stride;
  }
}

// What ExpandBlocks makes of any format with a scale to a block: f32 scales [32 rows], then codes [8 quads][32
// rows][4].
struct ExpandedBlock {
  static constexpr int kHeaderBytes = kPanelRows * 4;
  static constexpr int kBlockBytes = 8 * kPanelRows * 4;
  static_assert(kSuperBlocks * (kHeaderBytes + kBlockBytes) <= kMaxExpandedChunkBytes);
  static __m256 Scale(const std::byte* block, int, int group) {
    return _mm256_load_ps(reinterpret_cast<const float*>(block) + group * 8);
  }
};

template <typename Format>
void ExpandBlocks(const std::byte* block, int64_t num_blocks, std::byte* out) {
  for (int64_t n = num_blocks; n > 0; --n) {
    const std::byte* codes = block + Format::kHeaderBytes;
    std::byte* to = out + ExpandedBlock::kHeaderBytes;
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      _mm256_store_ps(reinterpret_cast<float*>(out) + g * 8, Format::Scale(block, 0, g));
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j)
        _mm256_store_si256(reinterpret_cast<__m256i*>(to + (j * kPanelRows + g * 8) * 4), Format::Quad(codes, j, g));
    }
    block = codes + Format::kBlockBytes;
    out = to + ExpandedBlock::kBlockBytes;
  }
}

// 12 integer sums of 16 registers.
template <typename Format>
constexpr TileKernel MakeSignsKernel() {
  return {{ActivationType::kInt8Signs}, {3}, {SignsTile<Format, 1>, SignsTile<Format, 2>, SignsTile<Format, 3>}};
}

// Of codes that a table makes, which several tiles share expanded.
template <typename Format>
constexpr TileKernel MakeExpandingSignsKernel() {
  TileKernel kernel = {
      {ActivationType::kInt8Signs}, {3}, {Int8Tile<Format, 1>, Int8Tile<Format, 2>, Int8Tile<Format, 3>}};
  using E = ExpandedBlock;
  kernel.expansion = {ExpandBlocks<Format>, 2, {SignsTile<E, 1>, SignsTile<E, 2>, SignsTile<E, 3>}};
  return kernel;
}

}  // namespace
}  // namespace millrace::kernels
