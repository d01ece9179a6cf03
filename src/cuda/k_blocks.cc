#include "cuda/k_blocks.h"

#include <cstring>

#include "base/check.h"

namespace millrace::cuda {
namespace {

// Q4_K and, with the fifth bits, Q5_K.
template <typename Block>
void ReadScaleMins(const Block& b, KBlock* out) {
  out->d = b.d;
  out->dmin = b.dmin;
  for (int j = 0; j < kSuperBlock / 32; ++j) {
    const ScaleMin6 packed = UnpackScaleMin6(b.scales, j);
    for (int half = 0; half < 2; ++half) {
      out->scale[2 * j + half] = static_cast<int8_t>(packed.scale);
      out->min[2 * j + half] = packed.min;
    }
    for (int l = 0; l < 32; ++l)
      out->q[32 * j + l] = static_cast<int8_t>((b.qs[32 * (j / 2) + l] >> (4 * (j % 2))) & 15);
  }
}

void Read(const BlockQ4_K& b, KBlock* out) {
  ReadScaleMins(b, out);
}

void Read(const BlockQ5_K& b, KBlock* out) {
  ReadScaleMins(b, out);
  for (int i = 0; i < kSuperBlock; ++i) {
    if (b.qh[i % 32] >> (i / 32) & 1) out->q[i] = static_cast<int8_t>(out->q[i] + 16);
  }
}

void Read(const BlockQ6_K& b, KBlock* out) {
  out->d = b.d;
  std::memcpy(out->scale, b.scales, sizeof(out->scale));
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, k = i / 32 % 4, l = i % 32;
    const int low = (b.ql[64 * half + 32 * (k % 2) + l] >> (4 * (k / 2))) & 15;
    out->q[i] = static_cast<int8_t>((low | ((b.qh[32 * half + l] >> (2 * k)) & 3) << 4) - 32);
  }
}

template <typename Block>
KBlock ReadAs(const std::byte* source) {
  Block block;
  std::memcpy(&block, source, sizeof(block));
  KBlock out;
  Read(block, &out);
  return out;
}

}  // namespace

KBlock ReadKBlock(DType type, const std::byte* source) {
  if (type == DType::kQ4_K) return ReadAs<BlockQ4_K>(source);
  if (type == DType::kQ5_K) return ReadAs<BlockQ5_K>(source);
  CHECK(type == DType::kQ6_K, "{} is no K-quant of the GPU's formats", DTypeName(type));
  return ReadAs<BlockQ6_K>(source);
}

}  // namespace millrace::cuda
