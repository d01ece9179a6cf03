#include "base/dequantize.h"

#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "base/quant_blocks.h"

namespace millrace {
namespace {

void Dequantize(const BlockQ4_0& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int j = 0; j < 16; ++j) {
    dst[j] = d * static_cast<float>((b.qs[j] & 15) - 8);
    dst[j + 16] = d * static_cast<float>((b.qs[j] >> 4) - 8);
  }
}

void Dequantize(const BlockQ4_1& b, float* dst) {
  const float d = F16ToF32(b.d), m = F16ToF32(b.m);
  for (int j = 0; j < 16; ++j) {
    dst[j] = d * static_cast<float>(b.qs[j] & 15) + m;
    dst[j + 16] = d * static_cast<float>(b.qs[j] >> 4) + m;
  }
}

// The five-bit code of value i in a Q5_0 or Q5_1 block.
template <typename Block>
int Code5(const Block& b, int i) {
  const int low = i < 16 ? b.qs[i] & 15 : b.qs[i - 16] >> 4;
  return low | (((b.qh[i / 8] >> (i % 8)) & 1) << 4);
}

void Dequantize(const BlockQ5_0& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < kQuantBlock; ++i) dst[i] = d * static_cast<float>(Code5(b, i) - 16);
}

void Dequantize(const BlockQ5_1& b, float* dst) {
  const float d = F16ToF32(b.d), m = F16ToF32(b.m);
  for (int i = 0; i < kQuantBlock; ++i) dst[i] = d * static_cast<float>(Code5(b, i)) + m;
}

void Dequantize(const BlockQ8_0& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < kQuantBlock; ++i) dst[i] = d * static_cast<float>(b.qs[i]);
}

void Dequantize(const BlockQ2_K& b, float* dst) {
  const float d = F16ToF32(b.d), dmin = F16ToF32(b.dmin);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int q = (b.qs[32 * (i / 128) + i % 32] >> (2 * ((i / 32) % 4))) & 3;
    const float scale = d * static_cast<float>(b.scales[i / 16] & 15);
    const float min = dmin * static_cast<float>(b.scales[i / 16] >> 4);
    dst[i] = scale * static_cast<float>(q) - min;
  }
}

void Dequantize(const BlockQ3_K& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int low = (b.qs[32 * (i / 128) + i % 32] >> (2 * ((i / 32) % 4))) & 3;
    const int high = (b.hmask[i % 32] >> (i / 32)) & 1;
    const float scale = d * static_cast<float>(UnpackScaleQ3(b.scales, i / 16) - 32);
    dst[i] = scale * static_cast<float>(low - (high ? 0 : 4));
  }
}

void Dequantize(const BlockQ4_K& b, float* dst) {
  const float d = F16ToF32(b.d), dmin = F16ToF32(b.dmin);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin6 packed = UnpackScaleMin6(b.scales, j);
    const float scale = d * static_cast<float>(packed.scale), min = dmin * static_cast<float>(packed.min);
    for (int l = 0; l < 32; ++l) {
      const int q = (b.qs[32 * (j / 2) + l] >> (4 * (j % 2))) & 15;
      dst[32 * j + l] = scale * static_cast<float>(q) - min;
    }
  }
}

void Dequantize(const BlockQ5_K& b, float* dst) {
  const float d = F16ToF32(b.d), dmin = F16ToF32(b.dmin);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin6 packed = UnpackScaleMin6(b.scales, j);
    const float scale = d * static_cast<float>(packed.scale), min = dmin * static_cast<float>(packed.min);
    for (int l = 0; l < 32; ++l) {
      const int q = ((b.qs[32 * (j / 2) + l] >> (4 * (j % 2))) & 15) | (((b.qh[l] >> j) & 1) << 4);
      dst[32 * j + l] = scale * static_cast<float>(q) - min;
    }
  }
}

void Dequantize(const BlockQ6_K& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, k = (i / 32) % 4, l = i % 32;
    const int low = (b.ql[64 * half + 32 * (k % 2) + l] >> (4 * (k / 2))) & 15;
    const int q = low | (((b.qh[32 * half + l] >> (2 * k)) & 3) << 4);
    const float scale = d * static_cast<float>(b.scales[i / 16]);
    dst[i] = scale * static_cast<float>(q - 32);
  }
}

void Dequantize(const BlockIQ4_NL& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int j = 0; j < 16; ++j) {
    dst[j] = d * static_cast<float>(kIQ4Values[b.qs[j] & 15]);
    dst[j + 16] = d * static_cast<float>(kIQ4Values[b.qs[j] >> 4]);
  }
}

void Dequantize(const BlockIQ4_XS& b, float* dst) {
  const float d = F16ToF32(b.d);
  for (int s = 0; s < 8; ++s) {
    const float scale = d * static_cast<float>(UnpackScaleIQ4(b, s) - 32);
    for (int j = 0; j < 16; ++j) {
      const uint8_t byte = b.qs[16 * s + j];
      dst[32 * s + j] = scale * static_cast<float>(kIQ4Values[byte & 15]);
      dst[32 * s + j + 16] = scale * static_cast<float>(kIQ4Values[byte >> 4]);
    }
  }
}

void Dequantize(const BlockMXFP4& b, float* dst) {
  const float d = MxScaleHalf(b.e);
  for (int j = 0; j < 16; ++j) {
    dst[j] = d * static_cast<float>(kMXFP4Values[b.qs[j] & 15]);
    dst[j + 16] = d * static_cast<float>(kMXFP4Values[b.qs[j] >> 4]);
  }
}

template <typename Block, int kValues>
void DequantizeBlocks(const void* src, float* dst, int64_t n) {
  CHECK(n % kValues == 0, "{} values are not whole blocks of {}", n, kValues);
  const char* bytes = static_cast<const char*>(src);
  for (int64_t i = 0; i < n; i += kValues, bytes += sizeof(Block)) {
    Block block;
    std::memcpy(&block, bytes, sizeof(Block));
    Dequantize(block, dst + i);
  }
}

template <typename Element, typename Convert>
void ConvertRow(const void* src, float* dst, int64_t n, const Convert& convert) {
  const char* bytes = static_cast<const char*>(src);
  for (int64_t i = 0; i < n; ++i, bytes += sizeof(Element)) {
    Element element;
    std::memcpy(&element, bytes, sizeof(Element));
    dst[i] = convert(element);
  }
}

}  // namespace

void DequantizeRow(DType type, const void* src, float* dst, int64_t n) {
  const auto to_float = [](auto v) { return static_cast<float>(v); };
  switch (type) {
    case DType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      return ConvertRow<uint16_t>(src, dst, n, F16ToF32);
    case DType::kBF16:
      return ConvertRow<uint16_t>(src, dst, n, Bf16ToF32);
    case DType::kF8E4M3:
      return ConvertRow<uint8_t>(src, dst, n, F8E4M3ToF32);
    case DType::kI8:
      return ConvertRow<int8_t>(src, dst, n, to_float);
    case DType::kI32:
      return ConvertRow<int32_t>(src, dst, n, to_float);
    case DType::kI64:
      return ConvertRow<int64_t>(src, dst, n, to_float);
    case DType::kQ4_0:
      return DequantizeBlocks<BlockQ4_0, kQuantBlock>(src, dst, n);
    case DType::kQ4_1:
      return DequantizeBlocks<BlockQ4_1, kQuantBlock>(src, dst, n);
    case DType::kQ5_0:
      return DequantizeBlocks<BlockQ5_0, kQuantBlock>(src, dst, n);
    case DType::kQ5_1:
      return DequantizeBlocks<BlockQ5_1, kQuantBlock>(src, dst, n);
    case DType::kQ8_0:
      return DequantizeBlocks<BlockQ8_0, kQuantBlock>(src, dst, n);
    case DType::kQ2_K:
      return DequantizeBlocks<BlockQ2_K, kSuperBlock>(src, dst, n);
    case DType::kQ3_K:
      return DequantizeBlocks<BlockQ3_K, kSuperBlock>(src, dst, n);
    case DType::kQ4_K:
      return DequantizeBlocks<BlockQ4_K, kSuperBlock>(src, dst, n);
    case DType::kQ5_K:
      return DequantizeBlocks<BlockQ5_K, kSuperBlock>(src, dst, n);
    case DType::kQ6_K:
      return DequantizeBlocks<BlockQ6_K, kSuperBlock>(src, dst, n);
    case DType::kIQ4_NL:
      return DequantizeBlocks<BlockIQ4_NL, kQuantBlock>(src, dst, n);
    case DType::kIQ4_XS:
      return DequantizeBlocks<BlockIQ4_XS, kSuperBlock>(src, dst, n);
    case DType::kMXFP4:
      return DequantizeBlocks<BlockMXFP4, kQuantBlock>(src, dst, n);
    case DType::kCount:
      break;
  }
  CHECK(false, "type {} has no values", static_cast<int>(type));
}

}  // namespace millrace
