#include "model_loader/synth/random_blocks.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "base/quant_blocks.h"

namespace millrace {
namespace {

// Standard deviations of uniform codes: of q - 8 for q in 0..15 and so on.
constexpr float kStd2Bits = 1.118f, kStd3Bits = 2.291f, kStd4Bits = 4.61f, kStd5Bits = 9.233f, kStd6Bits = 18.47f,
                kStd8Bits = 73.9f;
constexpr float kStdIQ4 = 71.0f, kStdMXFP4 = 5.85f;
constexpr float kStdScale6 = 18.47f;  // a 6-bit scale less 32
constexpr float kScaleK = 40.0f;      // the scale of every group of the asymmetric K-quants

template <typename Block>
void RandomBits(RandomBytes& random, Block& block) {
  std::byte bytes[sizeof(Block) + 8];
  for (size_t i = 0; i < sizeof(Block); i += 8) {
    const uint64_t bits = random.Next();
    std::memcpy(bytes + i, &bits, sizeof(bits));
  }
  std::memcpy(&block, bytes, sizeof(Block));
}

// +-d: signs make the mean of codes that are not centred vanish over many blocks.
uint16_t SignedHalf(float d, uint16_t random) {
  return static_cast<uint16_t>(F32ToF16(d) | (random & 0x8000u));
}

// Sets the scales of a block whose codes are random already. Asymmetric types put their offset in the middle of the
// codes.
void SetScales(float sigma, BlockQ4_0& b) {
  b.d = SignedHalf(sigma / kStd4Bits, b.d);
}
void SetScales(float sigma, BlockQ5_0& b) {
  b.d = SignedHalf(sigma / kStd5Bits, b.d);
}
void SetScales(float sigma, BlockQ8_0& b) {
  b.d = SignedHalf(sigma / kStd8Bits, b.d);
}
void SetScales(float sigma, BlockIQ4_NL& b) {
  b.d = SignedHalf(sigma / kStdIQ4, b.d);
}

void SetScales(float sigma, BlockQ4_1& b) {
  b.d = F32ToF16(sigma / kStd4Bits);
  b.m = F32ToF16(-7.5f * sigma / kStd4Bits);
}

void SetScales(float sigma, BlockQ5_1& b) {
  b.d = F32ToF16(sigma / kStd5Bits);
  b.m = F32ToF16(-15.5f * sigma / kStd5Bits);
}

void SetScales(float sigma, BlockQ2_K& b) {
  constexpr int kScale = 10;
  std::memset(b.scales, kScale | (kScale << 4), sizeof(b.scales));
  b.d = F32ToF16(sigma / (kStd2Bits * kScale));
  b.dmin = F32ToF16(1.5f * sigma / (kStd2Bits * kScale));
}

// Groups 0..3 have scale and min 40 in their own bytes, groups 4..7 in nibbles and the top bits of those: 40 =
// 0b101000.
void SetScalesK(float sigma, float code_std, float middle, uint16_t& d, uint16_t& dmin, uint8_t (&scales)[12]) {
  constexpr uint8_t kScale = static_cast<uint8_t>(kScaleK);
  std::memset(scales, kScale | ((kScale >> 4) << 6), 8);
  std::memset(scales + 8, (kScale & 15) | ((kScale & 15) << 4), 4);
  d = F32ToF16(sigma / (code_std * kScaleK));
  dmin = F32ToF16(middle * sigma / (code_std * kScaleK));
}

void SetScales(float sigma, BlockQ4_K& b) {
  SetScalesK(sigma, kStd4Bits, 7.5f, b.d, b.dmin, b.scales);
}
void SetScales(float sigma, BlockQ5_K& b) {
  SetScalesK(sigma, kStd5Bits, 15.5f, b.d, b.dmin, b.scales);
}
void SetScales(float sigma, BlockQ3_K& b) {
  b.d = SignedHalf(sigma / (kStd3Bits * kStdScale6), b.d);
}
void SetScales(float sigma, BlockQ6_K& b) {
  b.d = SignedHalf(sigma / (kStd6Bits * kStd8Bits), b.d);
}
void SetScales(float sigma, BlockIQ4_XS& b) {
  b.d = SignedHalf(sigma / (kStdIQ4 * kStdScale6), b.d);
}

void SetScales(float sigma, BlockMXFP4& b) {
  const int exponent = std::ilogb(sigma / kStdMXFP4 * 1.414f);
  b.e = static_cast<uint8_t>(exponent + 128);
}

template <typename Block, int kValues>
void FillBlocks(float sigma, int64_t count, RandomBytes& random, std::byte* dst) {
  CHECK(count % kValues == 0);
  for (int64_t i = 0; i < count; i += kValues, dst += sizeof(Block)) {
    Block block;
    RandomBits(random, block);
    SetScales(sigma, block);
    std::memcpy(dst, &block, sizeof(Block));
  }
}

// Plain types: uniform values from 16 random bits each.
template <typename Element, typename Convert>
void FillPlain(float sigma, int64_t count, RandomBytes& random, std::byte* dst, const Convert& convert) {
  const float step = sigma * 1.7320508f / 32768.0f;
  uint64_t bits = 0;
  for (int64_t i = 0; i < count; ++i, bits >>= 16, dst += sizeof(Element)) {
    if (i % 4 == 0) bits = random.Next();
    const Element value = convert((static_cast<float>(bits & 0xffffu) - 32767.5f) * step);
    std::memcpy(dst, &value, sizeof(value));
  }
}

}  // namespace

void FillRandom(DType type, float sigma, int64_t count, RandomBytes& random, std::byte* dst) {
  switch (type) {
    case DType::kF32:
      return FillPlain<float>(sigma, count, random, dst, [](float v) { return v; });
    case DType::kF16:
      return FillPlain<uint16_t>(sigma, count, random, dst, F32ToF16);
    case DType::kBF16:
      return FillPlain<uint16_t>(sigma, count, random, dst, F32ToBf16);
    case DType::kF8E4M3:
      return FillPlain<uint8_t>(sigma, count, random, dst, F32ToF8E4M3);
    case DType::kQ4_0:
      return FillBlocks<BlockQ4_0, kQuantBlock>(sigma, count, random, dst);
    case DType::kQ4_1:
      return FillBlocks<BlockQ4_1, kQuantBlock>(sigma, count, random, dst);
    case DType::kQ5_0:
      return FillBlocks<BlockQ5_0, kQuantBlock>(sigma, count, random, dst);
    case DType::kQ5_1:
      return FillBlocks<BlockQ5_1, kQuantBlock>(sigma, count, random, dst);
    case DType::kQ8_0:
      return FillBlocks<BlockQ8_0, kQuantBlock>(sigma, count, random, dst);
    case DType::kQ2_K:
      return FillBlocks<BlockQ2_K, kSuperBlock>(sigma, count, random, dst);
    case DType::kQ3_K:
      return FillBlocks<BlockQ3_K, kSuperBlock>(sigma, count, random, dst);
    case DType::kQ4_K:
      return FillBlocks<BlockQ4_K, kSuperBlock>(sigma, count, random, dst);
    case DType::kQ5_K:
      return FillBlocks<BlockQ5_K, kSuperBlock>(sigma, count, random, dst);
    case DType::kQ6_K:
      return FillBlocks<BlockQ6_K, kSuperBlock>(sigma, count, random, dst);
    case DType::kIQ4_NL:
      return FillBlocks<BlockIQ4_NL, kQuantBlock>(sigma, count, random, dst);
    case DType::kIQ4_XS:
      return FillBlocks<BlockIQ4_XS, kSuperBlock>(sigma, count, random, dst);
    case DType::kMXFP4:
      return FillBlocks<BlockMXFP4, kQuantBlock>(sigma, count, random, dst);
    case DType::kI8:
    case DType::kI32:
    case DType::kI64:
    case DType::kCount:
      break;
  }
  CHECK(false, "{} is not a type for weights", DTypeName(type));
}

}  // namespace millrace
