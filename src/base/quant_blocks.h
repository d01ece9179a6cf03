// Storage blocks of the quantised types, byte for byte as GGUF stores them (the published definition is ggml-common.h
// of llama.cpp). Halves are IEEE binary16 bits. "value i" below is the i-th of the block; base/dequantize.h has the
// scalar reference arithmetic.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/dtype.h"

namespace millrace {

static_assert(std::endian::native == std::endian::little, "blocks are read in place");

inline constexpr int kQuantBlock = 32;   // values in a block of Q4_0 .. Q8_0, IQ4_NL, MXFP4
inline constexpr int kSuperBlock = 256;  // values in a block of the K-quants and IQ4_XS

// w = d * (q - 8). Byte j holds value j in its low nibble and value j + 16 in its high nibble, here and in the next
// three types.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};

// w = d * q + m.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};

// w = d * (q - 16). Bit i of the little-endian word qh is the fifth bit of value i.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};

// w = d * q + m, qh as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};

// w = d * q.
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};

// w = d * (scale & 15) * q - dmin * (scale >> 4), a scale for every 16 values. Value 128 h + 32 j + l is bits [2j, 2j +
// 2) of qs[32 h + l].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};

// w = d * (scale - 32) * q, a 6-bit scale for every 16 values; q = low two bits (placed as in Q2_K) - (high bit ? 0 :
// 4). The high bit of value 128 h + 32 j + l is bit 4 h + j of hmask[l]. Scale s has its low nibble in scales[s % 8]
// (high half of the byte for s >= 8) and its top two bits in scales[8 + s % 4] at 2 (s / 4).
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};

// w = d * scale * q - dmin * min, a 6-bit (scale, min) for every 32 values, packed as UnpackScaleMin6 reads them. Value
// 64 c + l is the low nibble and value 64 c + 32 + l the high nibble of qs[32 c + l].
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};

// As Q4_K, with the fifth bit of value 32 j + l in bit j of qh[l].
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};

// w = d * scale * (q - 32), a signed scale for every 16 values. Value 128 h + 32 k + l has its low nibble in
// ql[64 h + 32 (k % 2) + l] (high half of the byte for k >= 2) and its top two bits in qh[32 h + l] at 2 k.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};

// w = d * kIQ4Values[q], nibbles as in Q4_0.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};

// w = d * (scale - 32) * kIQ4Values[q], a 6-bit scale for every 32 values: low nibble of scale s in scales_l[s / 2] at
// 4 (s % 2), top two bits in scales_h at 2 s. Nibbles of group s are in qs[16 s .. 16 s + 15] as in Q4_0.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

// w = MxScaleHalf(e) * kMXFP4Values[q], nibbles as in Q4_0.
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 &&
              sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210 && sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockIQ4_XS) == 136 && sizeof(BlockMXFP4) == 17);

inline constexpr std::array<int8_t, 16> kIQ4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

// FP4 E2M1 doubled, so that the table is whole numbers; MxScaleHalf carries the half.
inline constexpr std::array<int8_t, 16> kMXFP4Values = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// 2^(e - 128) for every e, 255 included: half of the E8M0 scale, as GGUF reads it.
inline float MxScaleHalf(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

struct ScaleMin6 {
  uint8_t scale;
  uint8_t min;
};

// The 6-bit (scale, min) of group j, 0 <= j < 8, in the 12 bytes of Q4_K and Q5_K.
inline ScaleMin6 UnpackScaleMin6(const uint8_t* scales, int j) {
  if (j < 4) return {static_cast<uint8_t>(scales[j] & 63), static_cast<uint8_t>(scales[j + 4] & 63)};
  return {static_cast<uint8_t>((scales[j + 4] & 15) | ((scales[j - 4] >> 6) << 4)),
          static_cast<uint8_t>((scales[j + 4] >> 4) | ((scales[j] >> 6) << 4))};
}

// The 6-bit scale s, 0 <= s < 16, in the 12 bytes of Q3_K, before 32 is taken off.
inline int UnpackScaleQ3(const uint8_t* scales, int s) {
  const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  return low | (((scales[8 + s % 4] >> (2 * (s / 4))) & 3) << 4);
}

// The 6-bit scale s, 0 <= s < 8, of IQ4_XS, before 32 is taken off.
inline int UnpackScaleIQ4(const BlockIQ4_XS& block, int s) {
  return ((block.scales_l[s / 2] >> (4 * (s % 2))) & 15) | (((block.scales_h >> (2 * s)) & 3) << 4);
}

}  // namespace millrace
