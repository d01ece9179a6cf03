#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/dequantize.h"
#include "base/half.h"
#include "base/quant_blocks.h"

namespace millrace {
namespace {

int RoundClamp(float x, int low, int high) {
  return std::clamp(static_cast<int>(std::lrintf(x)), low, high);
}

float Inverse(float d) {
  return d == 0.0f ? 0.0f : 1.0f / d;
}

// The value of largest magnitude, with its sign; the first of equals.
float SignedMax(const float* x, int n) {
  float best = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  }
  return best;
}

uint8_t Nibbles(int low, int high) {
  return static_cast<uint8_t>(low | (high << 4));
}

// Truncation after adding a half (and the offset that makes codes positive) is the published rounding of these five
// types.
int TruncCode(float x, int max) {
  return std::clamp(static_cast<int>(x), 0, max);
}

void Quantize(const float* x, BlockQ4_0& b) {
  const float d = SignedMax(x, kQuantBlock) / -8.0f, id = Inverse(d);
  b.d = F32ToF16(d);
  for (int j = 0; j < 16; ++j) b.qs[j] = Nibbles(TruncCode(x[j] * id + 8.5f, 15), TruncCode(x[j + 16] * id + 8.5f, 15));
}

void Quantize(const float* x, BlockQ4_1& b) {
  const auto [min, max] = std::minmax_element(x, x + kQuantBlock);
  const float d = (*max - *min) / 15.0f, id = Inverse(d);
  b.d = F32ToF16(d);
  b.m = F32ToF16(*min);
  for (int j = 0; j < 16; ++j) {
    b.qs[j] = Nibbles(TruncCode((x[j] - *min) * id + 0.5f, 15), TruncCode((x[j + 16] - *min) * id + 0.5f, 15));
  }
}

template <typename Block>
void PackCodes5(const int* codes, Block& b) {
  std::memset(b.qh, 0, sizeof(b.qh));
  for (int j = 0; j < 16; ++j) b.qs[j] = Nibbles(codes[j] & 15, codes[j + 16] & 15);
  for (int i = 0; i < kQuantBlock; ++i) b.qh[i / 8] |= static_cast<uint8_t>((codes[i] >> 4) << (i % 8));
}

void Quantize(const float* x, BlockQ5_0& b) {
  const float d = SignedMax(x, kQuantBlock) / -16.0f, id = Inverse(d);
  b.d = F32ToF16(d);
  int codes[kQuantBlock];
  for (int i = 0; i < kQuantBlock; ++i) codes[i] = TruncCode(x[i] * id + 16.5f, 31);
  PackCodes5(codes, b);
}

void Quantize(const float* x, BlockQ5_1& b) {
  const auto [min, max] = std::minmax_element(x, x + kQuantBlock);
  const float d = (*max - *min) / 31.0f, id = Inverse(d);
  b.d = F32ToF16(d);
  b.m = F32ToF16(*min);
  int codes[kQuantBlock];
  for (int i = 0; i < kQuantBlock; ++i) codes[i] = TruncCode((x[i] - *min) * id + 0.5f, 31);
  PackCodes5(codes, b);
}

void Quantize(const float* x, BlockQ8_0& b) {
  const float d = std::fabs(SignedMax(x, kQuantBlock)) / 127.0f, id = Inverse(d);
  b.d = F32ToF16(d);
  for (int i = 0; i < kQuantBlock; ++i) b.qs[i] = static_cast<int8_t>(std::roundf(x[i] * id));
}

// Scales and minimums of the asymmetric K-quants: w ~ d * scale * q - dmin * min over groups of `group` values, q <=
// max_code, scales and mins <= max_scale.
struct AsymmetricScales {
  uint16_t d = 0, dmin = 0;
  int scale[16] = {}, min[16] = {};
};

AsymmetricScales FindAsymmetric(const float* x, int group, int max_code, int max_scale) {
  const int num_groups = kSuperBlock / group;
  float scale[16], min[16], largest_scale = 0.0f, largest_min = 0.0f;
  for (int g = 0; g < num_groups; ++g) {
    const auto [low, high] = std::minmax_element(x + g * group, x + (g + 1) * group);
    min[g] = -std::min(*low, 0.0f);
    scale[g] = (std::max(*high, 0.0f) + min[g]) / static_cast<float>(max_code);
    largest_scale = std::max(largest_scale, scale[g]);
    largest_min = std::max(largest_min, min[g]);
  }
  AsymmetricScales out;
  out.d = F32ToF16(largest_scale / static_cast<float>(max_scale));
  out.dmin = F32ToF16(largest_min / static_cast<float>(max_scale));
  const float id = Inverse(F16ToF32(out.d)), idmin = Inverse(F16ToF32(out.dmin));
  for (int g = 0; g < num_groups; ++g) {
    out.scale[g] = RoundClamp(scale[g] * id, 0, max_scale);
    out.min[g] = RoundClamp(min[g] * idmin, 0, max_scale);
  }
  return out;
}

void AsymmetricCodes(const float* x, const AsymmetricScales& s, int group, int max_code, int* codes) {
  const float d = F16ToF32(s.d), dmin = F16ToF32(s.dmin);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int g = i / group;
    const float offset = dmin * static_cast<float>(s.min[g]);
    codes[i] = RoundClamp((x[i] + offset) * Inverse(d * static_cast<float>(s.scale[g])), 0, max_code);
  }
}

void PackLowTwoBits(const int* codes, uint8_t* qs) {
  std::memset(qs, 0, 64);
  for (int i = 0; i < kSuperBlock; ++i) {
    qs[32 * (i / 128) + i % 32] |= static_cast<uint8_t>((codes[i] & 3) << (2 * ((i / 32) % 4)));
  }
}

void Quantize(const float* x, BlockQ2_K& b) {
  const AsymmetricScales s = FindAsymmetric(x, 16, 3, 15);
  b.d = s.d;
  b.dmin = s.dmin;
  for (int g = 0; g < 16; ++g) b.scales[g] = Nibbles(s.scale[g], s.min[g]);
  int codes[kSuperBlock];
  AsymmetricCodes(x, s, 16, 3, codes);
  PackLowTwoBits(codes, b.qs);
}

// Scales of the symmetric K-quants: w ~ d * scale * q with q in [-max_code, max_code) or a table; scale in [-limit,
// limit).
struct SymmetricScales {
  uint16_t d = 0;
  int scale[16] = {};
};

SymmetricScales FindSymmetric(const float* x, int group, float max_code, int limit) {
  const int num_groups = kSuperBlock / group;
  float scale[16];
  for (int g = 0; g < num_groups; ++g) scale[g] = SignedMax(x + g * group, group) / -max_code;
  SymmetricScales out;
  out.d = F32ToF16(SignedMax(scale, num_groups) / static_cast<float>(-limit));
  const float id = Inverse(F16ToF32(out.d));
  for (int g = 0; g < num_groups; ++g) out.scale[g] = RoundClamp(scale[g] * id, -limit, limit - 1);
  return out;
}

void Quantize(const float* x, BlockQ3_K& b) {
  const SymmetricScales s = FindSymmetric(x, 16, 4.0f, 32);
  b.d = s.d;
  std::memset(b.scales, 0, sizeof(b.scales));
  for (int g = 0; g < 16; ++g) {
    const int scale = s.scale[g] + 32;
    b.scales[g % 8] |= static_cast<uint8_t>((scale & 15) << (4 * (g / 8)));
    b.scales[8 + g % 4] |= static_cast<uint8_t>((scale >> 4) << (2 * (g / 4)));
  }
  int codes[kSuperBlock];
  std::memset(b.hmask, 0, sizeof(b.hmask));
  for (int i = 0; i < kSuperBlock; ++i) {
    codes[i] = RoundClamp(x[i] * Inverse(F16ToF32(s.d) * static_cast<float>(s.scale[i / 16])), -4, 3) + 4;
    b.hmask[i % 32] |= static_cast<uint8_t>((codes[i] >> 2) << (i / 32));
  }
  PackLowTwoBits(codes, b.qs);
}

void PackScaleMin6(const AsymmetricScales& s, uint8_t* scales) {
  std::memset(scales, 0, 12);
  for (int j = 0; j < 4; ++j) {
    scales[j] = static_cast<uint8_t>(s.scale[j] | ((s.scale[j + 4] >> 4) << 6));
    scales[j + 4] = static_cast<uint8_t>(s.min[j] | ((s.min[j + 4] >> 4) << 6));
    scales[j + 8] = Nibbles(s.scale[j + 4] & 15, s.min[j + 4] & 15);
  }
}

void PackNibblePairs(const int* codes, uint8_t* qs) {
  for (int i = 0; i < 128; ++i) {
    const int first = 64 * (i / 32) + i % 32;
    qs[i] = Nibbles(codes[first] & 15, codes[first + 32] & 15);
  }
}

void Quantize(const float* x, BlockQ4_K& b) {
  const AsymmetricScales s = FindAsymmetric(x, 32, 15, 63);
  b.d = s.d;
  b.dmin = s.dmin;
  PackScaleMin6(s, b.scales);
  int codes[kSuperBlock];
  AsymmetricCodes(x, s, 32, 15, codes);
  PackNibblePairs(codes, b.qs);
}

void Quantize(const float* x, BlockQ5_K& b) {
  const AsymmetricScales s = FindAsymmetric(x, 32, 31, 63);
  b.d = s.d;
  b.dmin = s.dmin;
  PackScaleMin6(s, b.scales);
  int codes[kSuperBlock];
  AsymmetricCodes(x, s, 32, 31, codes);
  PackNibblePairs(codes, b.qs);
  std::memset(b.qh, 0, sizeof(b.qh));
  for (int i = 0; i < kSuperBlock; ++i) b.qh[i % 32] |= static_cast<uint8_t>((codes[i] >> 4) << (i / 32));
}

void Quantize(const float* x, BlockQ6_K& b) {
  const SymmetricScales s = FindSymmetric(x, 16, 32.0f, 128);
  b.d = s.d;
  for (int g = 0; g < 16; ++g) b.scales[g] = static_cast<int8_t>(s.scale[g]);
  std::memset(b.ql, 0, sizeof(b.ql));
  std::memset(b.qh, 0, sizeof(b.qh));
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, k = (i / 32) % 4, l = i % 32;
    const int code = RoundClamp(x[i] * Inverse(F16ToF32(s.d) * static_cast<float>(s.scale[i / 16])), -32, 31) + 32;
    b.ql[64 * half + 32 * (k % 2) + l] |= static_cast<uint8_t>((code & 15) << (4 * (k / 2)));
    b.qh[32 * half + l] |= static_cast<uint8_t>((code >> 4) << (2 * k));
  }
}

// The entry of a table of 16 nearest to x; the first of equals.
int Nearest(const std::array<int8_t, 16>& table, float x) {
  int best = 0;
  for (int i = 1; i < 16; ++i) {
    if (std::fabs(static_cast<float>(table[i]) - x) < std::fabs(static_cast<float>(table[best]) - x)) best = i;
  }
  return best;
}

void Quantize(const float* x, BlockIQ4_NL& b) {
  b.d = F32ToF16(SignedMax(x, kQuantBlock) / -127.0f);
  const float id = Inverse(F16ToF32(b.d));
  for (int j = 0; j < 16; ++j) b.qs[j] = Nibbles(Nearest(kIQ4Values, x[j] * id), Nearest(kIQ4Values, x[j + 16] * id));
}

void Quantize(const float* x, BlockIQ4_XS& b) {
  const SymmetricScales s = FindSymmetric(x, 32, 127.0f, 32);
  b.d = s.d;
  b.scales_h = 0;
  std::memset(b.scales_l, 0, sizeof(b.scales_l));
  for (int g = 0; g < 8; ++g) {
    const int scale = s.scale[g] + 32;
    b.scales_l[g / 2] |= static_cast<uint8_t>((scale & 15) << (4 * (g % 2)));
    b.scales_h |= static_cast<uint16_t>((scale >> 4) << (2 * g));
    const float id = Inverse(F16ToF32(s.d) * static_cast<float>(s.scale[g]));
    for (int j = 0; j < 16; ++j) {
      const float* group = x + 32 * g;
      b.qs[16 * g + j] = Nibbles(Nearest(kIQ4Values, group[j] * id), Nearest(kIQ4Values, group[j + 16] * id));
    }
  }
}

void Quantize(const float* x, BlockMXFP4& b) {
  const float largest = std::fabs(SignedMax(x, kQuantBlock));
  b.e = largest > 0.0f ? static_cast<uint8_t>(std::clamp(std::ilogb(largest) - 2 + 127, 0, 254)) : 0;
  const float inverse = 1.0f / MxScaleHalf(b.e);
  for (int j = 0; j < 16; ++j) {
    b.qs[j] = Nibbles(Nearest(kMXFP4Values, x[j] * inverse), Nearest(kMXFP4Values, x[j + 16] * inverse));
  }
}

template <typename Block, int kValues>
void QuantizeBlocks(const float* src, void* dst, int64_t n) {
  CHECK(n % kValues == 0, "{} values are not whole blocks of {}", n, kValues);
  char* bytes = static_cast<char*>(dst);
  for (int64_t i = 0; i < n; i += kValues, bytes += sizeof(Block)) {
    Block block;
    Quantize(src + i, block);
    std::memcpy(bytes, &block, sizeof(Block));
  }
}

template <typename Element, typename Convert>
void ConvertRow(const float* src, void* dst, int64_t n, const Convert& convert) {
  char* bytes = static_cast<char*>(dst);
  for (int64_t i = 0; i < n; ++i, bytes += sizeof(Element)) {
    const Element element = convert(src[i]);
    std::memcpy(bytes, &element, sizeof(Element));
  }
}

}  // namespace

void QuantizeRow(DType type, const float* src, void* dst, int64_t n) {
  switch (type) {
    case DType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      return ConvertRow<uint16_t>(src, dst, n, F32ToF16);
    case DType::kBF16:
      return ConvertRow<uint16_t>(src, dst, n, F32ToBf16);
    case DType::kF8E4M3:
      return ConvertRow<uint8_t>(src, dst, n, F32ToF8E4M3);
    case DType::kQ4_0:
      return QuantizeBlocks<BlockQ4_0, kQuantBlock>(src, dst, n);
    case DType::kQ4_1:
      return QuantizeBlocks<BlockQ4_1, kQuantBlock>(src, dst, n);
    case DType::kQ5_0:
      return QuantizeBlocks<BlockQ5_0, kQuantBlock>(src, dst, n);
    case DType::kQ5_1:
      return QuantizeBlocks<BlockQ5_1, kQuantBlock>(src, dst, n);
    case DType::kQ8_0:
      return QuantizeBlocks<BlockQ8_0, kQuantBlock>(src, dst, n);
    case DType::kQ2_K:
      return QuantizeBlocks<BlockQ2_K, kSuperBlock>(src, dst, n);
    case DType::kQ3_K:
      return QuantizeBlocks<BlockQ3_K, kSuperBlock>(src, dst, n);
    case DType::kQ4_K:
      return QuantizeBlocks<BlockQ4_K, kSuperBlock>(src, dst, n);
    case DType::kQ5_K:
      return QuantizeBlocks<BlockQ5_K, kSuperBlock>(src, dst, n);
    case DType::kQ6_K:
      return QuantizeBlocks<BlockQ6_K, kSuperBlock>(src, dst, n);
    case DType::kIQ4_NL:
      return QuantizeBlocks<BlockIQ4_NL, kQuantBlock>(src, dst, n);
    case DType::kIQ4_XS:
      return QuantizeBlocks<BlockIQ4_XS, kSuperBlock>(src, dst, n);
    case DType::kMXFP4:
      return QuantizeBlocks<BlockMXFP4, kQuantBlock>(src, dst, n);
    case DType::kI8:
    case DType::kI32:
    case DType::kI64:
    case DType::kCount:
      break;
  }
  CHECK(false, "{} is not a type for weights", DTypeName(type));
}

}  // namespace millrace
