// Weight fragments and the end of a product, shared by the streaming and the tiled kernel so that their bits agree.
#pragma once

#include "cuda/device.h"
#include "cuda/linear.h"

namespace millrace::cuda {

// What a lane holds of one step of rows g and g + 8 of a tile.
template <WeightFormat kFormat>
struct RawStep {
  static constexpr int kLoads = kFormat == WeightFormat::kBf16 ? 2 : 1;
  static constexpr int kScaleWords = ScaleWords(kFormat);
  uint4 low[kLoads];   // row g
  uint4 high[kLoads];  // row g + 8
  uint32_t low_scales[kScaleWords + 1];
  uint32_t high_scales[kScaleWords + 1];
};

__device__ __forceinline__ uint32_t WordOf(const uint4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

// Scales of rows g and g + 8 of the tile in this step.
template <WeightFormat kFormat>
__device__ __forceinline__ void LoadScales(const LinearParams& p, int step, int row, RawStep<kFormat>* raw) {
  if constexpr (kFormat != WeightFormat::kBf16) {
    constexpr int kWords = ScaleWords(kFormat);
    const uint32_t* words = p.scales + (static_cast<int64_t>(step) * p.padded_rows + row) * kWords;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      raw->low_scales[i] = words[i];
      raw->high_scales[i] = words[8 * kWords + i];
    }
  }
}

// Byte `index` of a word, minus `bias`: a byte under the exponent of 2^23 is that float plus 2^23, and small integers
// are exact.
__device__ __forceinline__ float ByteToFloat(uint32_t word, int index, float bias) {
  return BitsToFloat(BytePermute(word, 0x4b000000u, 0x7650u + static_cast<uint32_t>(index))) - (8388608.0f + bias);
}

// bf16 pairs of four bytes, each value plus 128.
__device__ __forceinline__ void ExpandBytes(uint32_t word, uint32_t* pairs) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float first = ByteToFloat(word, 2 * i, 128.0f), second = ByteToFloat(word, 2 * i + 1, 128.0f);
    pairs[i] = BytePermute(FloatToBits(first), FloatToBits(second), 0x7632u);
  }
}

// The same, scaled and rounded: scale * value - min.
__device__ __forceinline__ void ExpandScaledBytes(uint32_t word, float scale, float min, uint32_t* pairs) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    pairs[i] =
        PackBf16(scale * ByteToFloat(word, 2 * i, 128.0f) - min, scale * ByteToFloat(word, 2 * i + 1, 128.0f) - min);
  }
}

// bf16 pairs of eight nibbles, each with `minus_bias` (two bf16) added to 128 + nibble: a nibble in the mantissa of 128
// is 128 + nibble.
__device__ __forceinline__ void ExpandNibbles(uint32_t word, uint32_t minus_bias, uint32_t* pairs) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t biased = (word >> (4 * i) & 0x000f000fu) | 0x43004300u;
    pairs[i] = FmaBf16x2(biased, 0x3f803f80u, minus_bias);
  }
}

// Scale and min of group `group` of a row's step, in a K format.
struct ScaleAndMin {
  float scale, min;
};
template <WeightFormat kFormat>
__device__ __forceinline__ ScaleAndMin KScale(const uint32_t* words, int group) {
  const float d = F16ToFloat(static_cast<uint16_t>(words[0])), dmin = F16ToFloat(static_cast<uint16_t>(words[0] >> 16));
  constexpr float kBias = kFormat == WeightFormat::kInt8K ? 128.0f : 0.0f;
  return {d * ByteToFloat(words[1], group, kBias), dmin * ByteToFloat(words[2], group, 0.0f)};
}

// The eight values that a lane has of 32-value group `group`, as bf16 pairs.
template <WeightFormat kFormat>
__device__ __forceinline__ void Expand(const uint4* raw, const uint32_t* scales, int group, uint32_t (&pairs)[4]) {
  if constexpr (kFormat == WeightFormat::kBf16) {
#pragma unroll
    for (int i = 0; i < 4; ++i) pairs[i] = WordOf(raw[group], i);
  } else if constexpr (kFormat == WeightFormat::kInt8) {
    ExpandBytes(WordOf(raw[0], 2 * group), pairs);
    ExpandBytes(WordOf(raw[0], 2 * group + 1), pairs + 2);
  } else if constexpr (kFormat == WeightFormat::kInt8K) {
    const ScaleAndMin w = KScale<kFormat>(scales, 2 * group + LaneIndex() % 4 / 2);
    ExpandScaledBytes(WordOf(raw[0], 2 * group), w.scale, w.min, pairs);
    ExpandScaledBytes(WordOf(raw[0], 2 * group + 1), w.scale, w.min, pairs + 2);
  } else {
    ExpandNibbles(WordOf(raw[0], group), kFormat == WeightFormat::kInt4 ? 0xc308c308u : 0xc300c300u,
                  pairs);  // - 136, - 128
  }
}

// A operands of the two mma steps of one group, and the scales of its rows.
struct GroupFragment {
  uint32_t first[4], second[4];
  ScaleAndMin low_scale, high_scale;
};

template <WeightFormat kFormat>
__device__ __forceinline__ void MakeFragment(const RawStep<kFormat>& raw, int group, GroupFragment* fragment) {
  uint32_t low[4], high[4];
  Expand<kFormat>(raw.low, raw.low_scales, group, low);
  Expand<kFormat>(raw.high, raw.high_scales, group, high);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    fragment->first[2 * i] = low[i];
    fragment->first[2 * i + 1] = high[i];
    fragment->second[2 * i] = low[2 + i];
    fragment->second[2 * i + 1] = high[2 + i];
  }
  if constexpr (kFormat == WeightFormat::kInt4K) {
    fragment->low_scale = KScale<kFormat>(raw.low_scales, group);
    fragment->high_scale = KScale<kFormat>(raw.high_scales, group);
  } else if constexpr (kFormat == WeightFormat::kInt8 || kFormat == WeightFormat::kInt4) {
    const int shift = 16 * (group % 2);
    fragment->low_scale.scale = F16ToFloat(static_cast<uint16_t>(raw.low_scales[group / 2] >> shift));
    fragment->high_scale.scale = F16ToFloat(static_cast<uint16_t>(raw.high_scales[group / 2] >> shift));
  }
}

// Sums of the group's activations of the two tokens that the lane has in an accumulator, by a product with ones: what
// kInt4K multiplies its mins with. Nothing elsewhere.
template <WeightFormat kFormat>
__device__ __forceinline__ float2 TokenSums(const uint4& x) {
  if constexpr (kFormat != WeightFormat::kInt4K) return {0.0f, 0.0f};
  const uint32_t ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
  const uint32_t b0[2] = {x.x, x.y}, b1[2] = {x.z, x.w};
  float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  MmaBf16(sums, ones, b0);
  MmaBf16(sums, ones, b1);
  return {sums[0], sums[1]};
}

// acc += group of weights * the 8 activations [8t, 8t + 8) of the lane's token; `sums` are TokenSums of x. Quantised
// groups are summed as integers times bf16 and scaled once, in f32.
template <WeightFormat kFormat>
__device__ __forceinline__ void Accumulate(const GroupFragment& w, const uint4& x, float2 sums, float (&acc)[4]) {
  const uint32_t b0[2] = {x.x, x.y}, b1[2] = {x.z, x.w};
  if constexpr (kFormat == WeightFormat::kBf16 || kFormat == WeightFormat::kInt8K) {
    MmaBf16(acc, w.first, b0);
    MmaBf16(acc, w.second, b1);
  } else {
    float part[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    MmaBf16(part, w.first, b0);
    MmaBf16(part, w.second, b1);
    acc[0] = fmaf(w.low_scale.scale, part[0], acc[0]);
    acc[1] = fmaf(w.low_scale.scale, part[1], acc[1]);
    acc[2] = fmaf(w.high_scale.scale, part[2], acc[2]);
    acc[3] = fmaf(w.high_scale.scale, part[3], acc[3]);
    if constexpr (kFormat == WeightFormat::kInt4K) {
      acc[0] = fmaf(-w.low_scale.min, sums.x, acc[0]);
      acc[1] = fmaf(-w.low_scale.min, sums.y, acc[1]);
      acc[2] = fmaf(-w.high_scale.min, sums.x, acc[2]);
      acc[3] = fmaf(-w.high_scale.min, sums.y, acc[3]);
    }
  }
}

__device__ __forceinline__ float Activate(Activation kind, float x) {
  switch (kind) {
    case Activation::kNone:
      return x;
    case Activation::kSilu:
      return x / (1.0f + expf(-x));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    case Activation::kGeluErf:
      return 0.5f * x * (1.0f + erff(x * 0.7071067812f));
    case Activation::kSwigluOai:
      return x / (1.0f + expf(-1.702f * x));
    case Activation::kRelu2:
      return x > 0.0f ? x * x : x * 0.0f;
  }
  return x;
}

__device__ __forceinline__ float GatedValue(const LinearParams& p, float gate, float up) {
  if (p.activation != Activation::kSwigluOai) return Activate(p.activation, gate) * up;
  const float limit = p.swiglu_limit;
  return Activate(p.activation, fminf(gate, limit)) * (fmaxf(-limit, fminf(limit, up)) + 1.0f);
}

// Bias, activation, scale and store of one finished 16 x 8 fragment: tile of rows, tokens from first_token on.
__device__ __forceinline__ void StoreFragment(const LinearParams& p, int tile, int first_token, const float (&acc)[4]) {
  const int lane = LaneIndex(), g = lane / 4, t = lane % 4;
  const int row = tile * kTileRows + g;
  const float low_bias = p.bias != nullptr ? p.bias[row] : 0.0f;
  const float high_bias = p.bias != nullptr ? p.bias[row + 8] : 0.0f;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = first_token + 2 * t + i;
    if (token >= p.num_tokens) continue;
    float* out = p.out + token * p.out_stride;
    const float low = acc[i] + low_bias, high = acc[2 + i] + high_bias;
    if (p.gated) {
      const int n = tile * (kTileRows / 2) + g;
      if (n < p.num_rows) out[n] = GatedValue(p, low, high);
      continue;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int n = row + 8 * half;
      if (n >= p.num_rows) continue;
      float value = p.scale * Activate(p.activation, half == 0 ? low : high);
      if (p.softcap > 0.0f) value = p.softcap * tanhf(value / p.softcap);
      out[n] = p.accumulate ? out[n] + value : value;
    }
  }
}

}  // namespace millrace::cuda
