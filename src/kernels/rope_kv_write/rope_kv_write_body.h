// rope_kv_write in terms of simd/lanes.h; included by the ISA files alone.
#pragma once

#include <cstring>

#include "kernels/attention/kv_layout.h"
#include "kernels/norm/norm_body.h"
#include "kernels/rope_kv_write/rope_kv_write_kernels.h"

namespace millrace::kernels {
namespace {

// Cosines and sines of one token, in the order in which the lanes want them: [rotary_dim / 2] for halves; for
// interleaved pairs both elements of a pair have their own, the sine of the first negated.
struct Rotation {
  float cosine[kMaxHeadDim];
  float sine[kMaxHeadDim];
};

inline void FillRotation(const float* cos_sin, int rotary_dim, bool interleaved, Rotation& rotation) {
  for (int i = 0; i < rotary_dim / 2; ++i) {
    const float c = cos_sin[2 * i];
    const float s = cos_sin[2 * i + 1];
    if (interleaved) {
      rotation.cosine[2 * i] = rotation.cosine[2 * i + 1] = c;
      rotation.sine[2 * i] = -s;
      rotation.sine[2 * i + 1] = s;
    } else {
      rotation.cosine[i] = c;
      rotation.sine[i] = s;
    }
  }
}

// Products and sums round separately, as in transformers.
inline void RotateHalves(float* x, int half, const Rotation& rotation) {
  for (int i = 0; i < half; i += 16) {
    const int n = LanesAt(i, half);
    const F32x16 a = LoadPartF32(x + i, n);
    const F32x16 b = LoadPartF32(x + half + i, n);
    const F32x16 c = LoadPartF32(rotation.cosine + i, n);
    const F32x16 s = LoadPartF32(rotation.sine + i, n);
    StorePartF32(x + i, Sub(Mul(a, c), Mul(b, s)), n);
    StorePartF32(x + half + i, Add(Mul(b, c), Mul(a, s)), n);
  }
}

inline void RotatePairs(float* x, int rotary_dim, const Rotation& rotation) {
  for (int i = 0; i < rotary_dim; i += 16) {
    const int n = LanesAt(i, rotary_dim);
    const F32x16 a = LoadPartF32(x + i, n);
    const F32x16 c = LoadPartF32(rotation.cosine + i, n);
    const F32x16 s = LoadPartF32(rotation.sine + i, n);
    StorePartF32(x + i, Add(Mul(a, c), Mul(SwapPairs(a), s)), n);
  }
}

inline void PrepareHeads(const RopeKvWriteArgs& args, const Norm& norm, int num_heads, const Rotation& rotation,
                         float* heads) {
  const int head_dim = args.kv.head_dim;
  const bool has_norm = norm.kind != NormKind::kNone;
  if (has_norm && args.norm_whole_row) NormRowBody(norm, 0, heads, static_cast<int64_t>(num_heads) * head_dim, heads);
  for (int h = 0; h < num_heads; ++h) {
    float* x = heads + h * head_dim;
    if (has_norm && !args.norm_whole_row) NormRowBody(norm, 0, x, head_dim, x);
    if (args.cos_sin == nullptr) continue;
    if (args.rope_interleaved) {
      RotatePairs(x, args.rotary_dim, rotation);
    } else {
      RotateHalves(x, args.rotary_dim / 2, rotation);
    }
  }
}

// One head of one token as the cache stores it, dims in order.
struct EncodedHead {
  alignas(64) std::byte bytes[kMaxHeadDim * 4];
  float scale;
};

// The largest magnitude of a head; *poison is 0, or NaN when x has an infinity or NaN: then the scale says so.
inline float LargestOf(const float* x, int head_dim, float* poison) {
  F32x16 largest = ZeroF32();
  F32x16 not_finite = ZeroF32();
  for (int d = 0; d < head_dim; d += 16) {
    const F32x16 v = LoadPartF32(x + d, LanesAt(d, head_dim));
    largest = Max(Abs(v), largest);
    not_finite = Add(not_finite, Sub(v, v));
  }
  *poison = ReduceAdd(not_finite);
  return ReduceMax(largest);
}

// e4m3 of |x| <= 448, to nearest even: normal numbers lose 20 bits of their f32; below 2^-6 adding 1.5 * 2^14 leaves
// multiples of 2^-9.
inline std::byte EncodeF8Value(float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t normal = ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
  const uint32_t small = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude) + 0x1.8p14f) & 0xfu;
  const uint32_t code = magnitude < 0x3c800000u ? small : normal < 0x7eu ? normal : 0x7eu;
  return static_cast<std::byte>(code | (bits >> 24 & 0x80u));
}

inline void EncodeF8(const float* x, int head_dim, EncodedHead& out) {
  constexpr float kTiny = 1e-30f;  // a head so small is stored as zeros: 448 / amax must not overflow
  float poison;
  const float amax = LargestOf(x, head_dim, &poison);
  const float inverse = amax > kTiny ? 448.0f / amax : 0.0f;
  out.scale = amax / 448.0f + poison;
  for (int d = 0; d < head_dim; ++d) out.bytes[d] = EncodeF8Value(x[d] * inverse);
}

inline void EncodeI8(const float* x, int head_dim, EncodedHead& out) {
  float poison;
  const float amax = LargestOf(x, head_dim, &poison);
  const F32x16 inverse = SetF32(amax > 0 ? 127.0f / amax : 0.0f);
  out.scale = amax / 127.0f + poison;
  for (int d = 0; d < head_dim; d += 16) {
    const int n = LanesAt(d, head_dim);
    int16_t rounded[16];
    StoreI16(rounded, RoundToEven(Mul(LoadPartF32(x + d, n), inverse)));
    for (int i = 0; i < n; ++i) out.bytes[d + i] = static_cast<std::byte>(rounded[i] + 128);
  }
}

inline void Encode(DType dtype, const float* x, int head_dim, EncodedHead& out) {
  if (dtype == DType::kI8) return EncodeI8(x, head_dim, out);
  if (dtype == DType::kF8E4M3) return EncodeF8(x, head_dim, out);
  if (dtype == DType::kF32) {
    std::memcpy(out.bytes, x, static_cast<size_t>(head_dim) * sizeof(float));
    return;
  }
  auto* half = reinterpret_cast<uint16_t*>(out.bytes);
  for (int d = 0; d < head_dim; d += 16) {
    const F32x16 v = LoadPartF32(x + d, LanesAt(d, head_dim));
    if (dtype == DType::kBF16) {
      StoreBf16(half + d, v);
    } else {
      StoreF16(half + d, Max(SetF32(-65504.0f), Min(SetF32(65504.0f), v)));
    }
  }
}

// K: the kBytes of a group of dims stay together, groups lie a block of tokens apart.
template <int kBytes>
void ScatterK(const std::byte* bytes, int num_groups, std::byte* k) {
  for (int g = 0; g < num_groups; ++g) std::memcpy(k + g * kKvBlockSlots * kBytes, bytes + g * kBytes, kBytes);
}

// V: dims lie kStride bytes apart.
template <int kBytes, int kStride>
void ScatterV(const std::byte* bytes, int head_dim, std::byte* v) {
  for (int d = 0; d < head_dim; ++d) std::memcpy(v + d * kStride, bytes + d * kBytes, kBytes);
}

inline void StoreK(const KvLayout& layout, EncodedHead& head, int lane, std::byte* part) {
  std::byte* k = part + layout.KOffset(lane, 0);
  if (layout.k_scales > 0) std::memcpy(part + layout.k_scales + lane * sizeof(float), &head.scale, sizeof(float));
  if (layout.group * layout.elem_bytes == 1) return ScatterK<1>(head.bytes, layout.head_dim, k);
  if (layout.group * layout.elem_bytes == 2) return ScatterK<2>(head.bytes, layout.head_dim, k);
  if (layout.group == 4) {
    for (int d = 0; d < layout.head_dim; d += 4) {
      const std::byte second = head.bytes[d + 1];
      head.bytes[d + 1] = head.bytes[d + 2];
      head.bytes[d + 2] = second;
    }
  }
  ScatterK<4>(head.bytes, layout.head_dim / layout.group, k);
}

inline void StoreV(const KvLayout& layout, const EncodedHead& head, int lane, std::byte* part) {
  std::byte* v = part + layout.VOffset(lane, 0);
  if (layout.v_scales > 0) std::memcpy(part + layout.v_scales + lane * sizeof(float), &head.scale, sizeof(float));
  if (layout.group == 4) return ScatterV<1, 4>(head.bytes, layout.head_dim, v);
  if (layout.group == 2) return ScatterV<2, 4>(head.bytes, layout.head_dim, v);
  std::memcpy(v, head.bytes, static_cast<size_t>(layout.head_dim) * layout.elem_bytes);
}

inline void RopeKvWriteTokens(const RopeKvWriteArgs& args, const KvLayout& layout, int row, int begin, int end) {
  const AttentionBatch& batch = *args.batch;
  const int head_dim = args.kv.head_dim;
  const int first_slot = batch.context_len[row] + begin - batch.query_start[row];
  const int32_t block = batch.block_ids[batch.table_start[row] + first_slot / kKvBlockSlots];
  Rotation rotation;
  EncodedHead encoded;
  for (int t = begin; t < end; ++t) {
    float* q = args.qkv + t * args.stride;
    float* k = q + static_cast<int64_t>(args.num_heads) * head_dim;
    const float* v = k + static_cast<int64_t>(args.kv.num_kv_heads) * head_dim;
    if (args.cos_sin != nullptr) {
      FillRotation(args.cos_sin + static_cast<int64_t>(t) * args.rotary_dim, args.rotary_dim, args.rope_interleaved,
                   rotation);
    }
    PrepareHeads(args, args.q_norm, args.num_heads, rotation, q);
    PrepareHeads(args, args.k_norm, args.kv.num_kv_heads, rotation, k);
    if (block < 0) continue;
    const int lane = (first_slot + t - begin) % kKvBlockSlots;
    for (int h = 0; h < args.kv.num_kv_heads; ++h) {
      std::byte* part = KvHeadPart(args.kv, layout, block, h);
      Encode(args.kv.dtype, k + h * head_dim, head_dim, encoded);
      StoreK(layout, encoded, lane, part);
      Encode(args.kv.dtype, v + h * head_dim, head_dim, encoded);
      StoreV(layout, encoded, lane, part);
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
