// How each cache type multiplies, and queries packed for it, in terms of simd/lanes.h; included by attention_body.h
// alone.
#pragma once

#include <cstring>
#include <type_traits>

#include "kernels/attention/attention_tile.h"
#include "kernels/simd/lanes.h"
#include "kernels/simd/math.h"

namespace millrace::kernels {
namespace {

constexpr int kLanes = 16;

// The four bytes at p in every lane. One load for each word: from a register of the integer unit a broadcast costs two
// operations of the vector unit.
inline I32x16 BroadcastI32(const void* p) {
  int32_t word;
  std::memcpy(&word, p, sizeof(word));
  return SetI32(word);
}

// How each cache type multiplies. A step is kGroup dims of 16 tokens (K) or kGroup tokens of 16 dims (V), kStepBytes in
// the cache; Elem is the type of packed queries and probabilities; kSums registers make an Acc.
struct KvF32 {
  using Elem = float;
  using Acc = F32x16;
  using Vec = F32x16;
  using Word = F32x16;
  static constexpr int kGroup = 1;
  static constexpr int kSums = 1;
  static constexpr int kStepBytes = 64;
  static constexpr bool kScaled = false;  // has a scale per token
  static Acc Zero() { return ZeroF32(); }
  static Vec Load(const std::byte* p) { return LoadF32(reinterpret_cast<const float*>(p)); }
  static Vec LoadHalf(const std::byte* p) { return LoadPartF32(reinterpret_cast<const float*>(p), 8); }
  static Word Broadcast(const Elem* p) { return SetF32(*p); }
  static void AddDot(Acc& acc, Word word, Vec vec) { acc = Fma(word, vec, acc); }
  // V of a group whose last tokens were not written, made finite.
  static Vec KeepWritten(Vec vec) { return vec; }
  static F32x16 ToFloat(Acc acc, int32_t) { return acc; }
};

struct KvF16 : KvF32 {
  static constexpr int kStepBytes = 32;
  static Vec Load(const std::byte* p) { return LoadF16(p); }
  static Vec LoadHalf(const std::byte* p) { return LoadHalfF16(p); }
};

// Loads give the codes' values / kF8Unit.
struct KvF8 : KvF32 {
  static constexpr int kStepBytes = 16;
  static constexpr bool kScaled = true;
  static Vec Load(const std::byte* p) { return LoadF8(p); }
  static Vec LoadHalf(const std::byte* p) { return LoadHalfF8(p); }
};
constexpr float kF8Unit = 256.0f;

struct KvBf16 {
  using Elem = uint16_t;
  using Acc = F32x16;
  using Vec = I32x16;
  using Word = I32x16;
  static constexpr int kGroup = 2;
  static constexpr int kSums = 1;
  static constexpr int kStepBytes = 64;
  static constexpr bool kScaled = false;
  static Acc Zero() { return ZeroF32(); }
  static Vec Load(const std::byte* p) { return LoadI32(p); }
  static Vec LoadHalf(const std::byte* p) { return LoadHalfI32(p); }
  static Word Broadcast(const Elem* p) { return BroadcastI32(p); }
  static void AddDot(Acc& acc, Word word, Vec vec) { acc = DotBf16(acc, word, vec); }
  static Vec KeepWritten(Vec vec) { return LowHalves(vec); }
  static F32x16 ToFloat(Acc acc, int32_t) { return acc; }
};

// Queries and probabilities of 15 bits times cache values of 8, in int32. Cache values are unsigned, so a sum may wrap
// before its bias is taken away; the difference is exact, since 512 * 127 * 32639 < 2^31. The magnitude of a factor
// is at most kLargestI8Factor, so that its higher byte is one too.
constexpr float kLargestI8Factor = 127 * 256 + 127;

#if defined(__AVX512VNNI__)
// A factor is 256 * high + low, both signed bytes, so that the cache bytes multiply as they are. Four factors lie as
// the four high bytes and then the four low ones, in the order of a group in the cache.
struct KvI8 {
  using Elem = int16_t;
  struct Acc {
    I32x16 high, low;
  };
  using Vec = I32x16;
  using Word = Acc;
  static constexpr int kGroup = 4;
  static constexpr int kSums = 2;
  static constexpr int kStepBytes = 64;
  static constexpr bool kScaled = true;
  static Acc Zero() { return {ZeroI32(), ZeroI32()}; }
  static Vec Load(const std::byte* p) { return LoadI32(p); }
  static Vec LoadHalf(const std::byte* p) { return LoadHalfI32(p); }
  static Word Broadcast(const Elem* p) { return {BroadcastI32(p), BroadcastI32(p + 2)}; }
  static void AddDot(Acc& acc, Word word, Vec vec) {
    acc.high = DotU8I8(acc.high, vec, word.high);
    acc.low = DotU8I8(acc.low, vec, word.low);
  }
  static Vec KeepWritten(Vec vec) { return vec; }
  static F32x16 ToFloat(Acc acc, int32_t bias) {
    return ToF32(SubI32(AddI32(Times256(acc.high), acc.low), SetI32(bias)));
  }
  // 16 whole numbers.
  static void StoreFactors(Elem* p, F32x16 v) { StoreI16Halves(p, v); }
};
#else
struct KvI8 {
  using Elem = int16_t;
  using Acc = I32x16;
  struct Vec {
    I32x16 even, odd;
  };
  using Word = Vec;
  static constexpr int kGroup = 4;
  static constexpr int kSums = 1;
  static constexpr int kStepBytes = 64;
  static constexpr bool kScaled = true;
  static Acc Zero() { return ZeroI32(); }
  static Vec Load(const std::byte* p) {
    const I32x16 bytes = LoadI32(p);
    return {EvenBytes(bytes), OddBytes(bytes)};
  }
  static Vec LoadHalf(const std::byte* p) {
    const I32x16 bytes = LoadHalfI32(p);
    return {EvenBytes(bytes), OddBytes(bytes)};
  }
  static Word Broadcast(const Elem* p) { return {BroadcastI32(p), BroadcastI32(p + 2)}; }
  static void AddDot(Acc& acc, Word word, Vec vec) {
    acc = DotI16(DotI16(acc, word.even, vec.even), word.odd, vec.odd);
  }
  static Vec KeepWritten(Vec vec) { return vec; }
  static F32x16 ToFloat(Acc acc, int32_t bias) { return ToF32(SubI32(acc, SetI32(bias))); }
  static void StoreFactors(Elem* p, F32x16 v) { StoreI16(p, v); }
};
#endif

// The largest magnitude of a packed query element, so that no int32 sum over head_dim products with 127 overflows.
inline float QueryLimit(int head_dim) {
  return head_dim <= 512 ? kLargestI8Factor : 29000.0f;
}

template <typename Kv>
void PackQuery(int head_dim, float scale, const float* q, typename Kv::Elem* out, float* factor, int32_t* bias) {
  *factor = scale * kLog2E;
  *bias = 0;
  if constexpr (std::is_same_v<typename Kv::Elem, float>) {
    std::memcpy(out, q, static_cast<size_t>(head_dim) * sizeof(float));
    if constexpr (std::is_same_v<Kv, KvF8>) *factor *= kF8Unit;
  } else if constexpr (std::is_same_v<Kv, KvBf16>) {
    for (int d = 0; d < head_dim; d += kLanes) {
      const int n = head_dim - d < kLanes ? head_dim - d : kLanes;
      StoreBf16(out + d, LoadPartF32(q + d, n));
    }
  } else {
    F32x16 largest = ZeroF32();
    F32x16 poison = ZeroF32();  // NaN when q has an infinity or NaN, which integers would lose
    for (int d = 0; d < head_dim; d += kLanes) {
      const int n = head_dim - d < kLanes ? head_dim - d : kLanes;
      const F32x16 v = LoadPartF32(q + d, n);
      largest = Max(Abs(v), largest);
      poison = Add(poison, Sub(v, v));
    }
    const float amax = ReduceMax(largest);
    const float limit = QueryLimit(head_dim);
    const F32x16 to_integer = SetF32(amax > 0 ? limit / amax : 0.0f);
    for (int d = 0; d < head_dim; d += kLanes) {
      const int n = head_dim - d < kLanes ? head_dim - d : kLanes;
      const F32x16 rounded = RoundToEven(Mul(LoadPartF32(q + d, n), to_integer));
      Kv::StoreFactors(out + d, rounded);
      *bias += static_cast<int32_t>(ReduceAdd(rounded));
    }
    *bias *= 128;
    *factor = scale * kLog2E * (amax / limit) + ReduceAdd(poison);
  }
}

template <typename Kv>
void PackAll(int head_dim, float scale, const float* const* q, int num_queries, PackedQueries* out) {
  auto* values = reinterpret_cast<typename Kv::Elem*>(out->values);
  for (int m = 0; m < num_queries; ++m) {
    PackQuery<Kv>(head_dim, scale, q[m], values + m * PaddedHeadDim(head_dim), &out->factor[m], &out->bias[m]);
  }
}

}  // namespace
}  // namespace millrace::kernels
