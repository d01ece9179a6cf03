// Attention kernels in terms of simd/lanes.h; included by the ISA files alone.
//
// Scores: lanes are the 16 tokens of a block, one accumulator per (query, block) runs over the dims in ascending order.
// Values: lanes are 16 dims, one accumulator per (query, 16 dims) runs over the tokens of the segment in ascending
// order. Register tiles only group such chains, so their shape never changes a bit.
//
// Decode reads memory at the rate of its prefetches: while the first queries of a tile score K, they ask for V of the
// same blocks, and while they add V they ask for K of the next segment. Later queries find both in cache and prefetch
// what they read.
#pragma once

#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/attention/attention_tile.h"
#include "kernels/simd/lanes.h"
#include "kernels/simd/math.h"

namespace millrace::kernels {
namespace {

constexpr int kLanes = 16;
constexpr int kQueryTile = 4;
// Blocks, or 16 dims, that a register tile of kQ queries spans.
template <int kQ>
constexpr int kWideTile = kAccumulators / kQ < 4 ? kAccumulators / kQ : 4;

// How each cache type multiplies. A step is kGroup dims of 16 tokens (K) or kGroup tokens of 16 dims (V), kStepBytes in
// the cache; Elem is the type of packed queries and probabilities.
struct KvF32 {
  using Elem = float;
  using Acc = F32x16;
  using Vec = F32x16;
  using Word = F32x16;
  static constexpr int kGroup = 1;
  static constexpr int kStepBytes = 64;
  static constexpr bool kScaled = false;  // has a scale per token
  static Acc Zero() { return ZeroF32(); }
  static Vec Load(const std::byte* p) { return LoadF32(reinterpret_cast<const float*>(p)); }
  static Vec LoadHalf(const std::byte* p) { return LoadPartF32(reinterpret_cast<const float*>(p), 8); }
  static Word Broadcast(const Elem* p) { return SetF32(*p); }
  static Acc Dot(Acc acc, Word word, Vec vec) { return Fma(word, vec, acc); }
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
  static constexpr int kStepBytes = 64;
  static constexpr bool kScaled = false;
  static Acc Zero() { return ZeroF32(); }
  static Vec Load(const std::byte* p) { return LoadI32(p); }
  static Vec LoadHalf(const std::byte* p) { return LoadHalfI32(p); }
  static Word Broadcast(const Elem* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return SetI32(pair);
  }
  static Acc Dot(Acc acc, Word word, Vec vec) { return DotBf16(acc, word, vec); }
  static Vec KeepWritten(Vec vec) { return LowHalves(vec); }
  static F32x16 ToFloat(Acc acc, int32_t) { return acc; }
};

// 15-bit queries and probabilities times 8-bit cache values, in int32. Cache values are unsigned, so a sum may wrap
// before its bias is taken away; the difference is exact, since 512 * 127 * 32767 < 2^31.
struct KvI8 {
  using Elem = int16_t;
  using Acc = I32x16;
  struct Vec {
    I32x16 even, odd;
  };
  using Word = Vec;
  static constexpr int kGroup = 4;
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
  static Word Broadcast(const Elem* p) {
    int32_t pairs[2];
    std::memcpy(pairs, p, sizeof(pairs));
    return {SetI32(pairs[0]), SetI32(pairs[1])};
  }
  static Acc Dot(Acc acc, Word word, Vec vec) { return DotI16(DotI16(acc, word.even, vec.even), word.odd, vec.odd); }
  static Vec KeepWritten(Vec vec) { return vec; }
  static F32x16 ToFloat(Acc acc, int32_t bias) { return ToF32(SubI32(acc, SetI32(bias))); }
};

// The largest magnitude of a packed query element, so that no int32 sum over head_dim products with 127 overflows.
inline float QueryLimit(int head_dim) {
  return head_dim <= 512 ? 32767.0f : 29000.0f;
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
      StoreI16(out + d, RoundToEven(Mul(LoadPartF32(q + d, n), to_integer)));
      for (int i = 0; i < n; ++i) *bias += out[d + i];
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

// Scratch of kQueryTile queries: scores, then p as elements of the cache type.
struct QueryScratch {
  alignas(64) float scores[kQueryTile][kSegmentSlots];
  alignas(64) float p[kQueryTile][kSegmentSlots];
  float factor[kQueryTile];  // I8, F8: unit of p V
  int32_t bias[kQueryTile];  // I8: 128 * sum of p

  template <typename Kv>
  typename Kv::Elem* P(int query) {
    return reinterpret_cast<typename Kv::Elem*>(p[query]);
  }
};

// scratch.scores[i] = dots of query first_query + i with the tokens of kB blocks, for kQ queries.
template <typename Kv, int kQ, int kB>
void ScoreTile(const SegmentTask& task, int first_query, int first_block, QueryScratch& scratch) {
  const int head_dim = task.layout->head_dim;
  const int stride = PaddedHeadDim(head_dim);
  const auto* q = reinterpret_cast<const typename Kv::Elem*>(task.queries->values) + first_query * stride;
  const std::byte* k[kB];
  const std::byte* ahead[kB];
#pragma GCC unroll 8
  for (int b = 0; b < kB; ++b) {
    k[b] = task.parts[first_block + b] + task.layout->k_tile;
    ahead[b] = first_query == 0 ? task.parts[first_block + b] + task.layout->v_tile : k[b];
  }
  typename Kv::Acc acc[kQ][kB];
#pragma GCC unroll 8
  for (int i = 0; i < kQ; ++i) {
#pragma GCC unroll 8
    for (int b = 0; b < kB; ++b) acc[i][b] = Kv::Zero();
  }
  const int num_steps = head_dim / Kv::kGroup;
  for (int step = 0; step < num_steps; ++step) {
    typename Kv::Vec vec[kB];
#pragma GCC unroll 8
    for (int b = 0; b < kB; ++b) {
      vec[b] = Kv::Load(k[b] + step * Kv::kStepBytes);
      PrefetchToL2(ahead[b] + step * Kv::kStepBytes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kQ; ++i) {
      const typename Kv::Word word = Kv::Broadcast(q + i * stride + step * Kv::kGroup);
#pragma GCC unroll 8
      for (int b = 0; b < kB; ++b) acc[i][b] = Kv::Dot(acc[i][b], word, vec[b]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQ; ++i) {
    const int32_t bias = task.queries->bias[first_query + i];
#pragma GCC unroll 8
    for (int b = 0; b < kB; ++b) {
      StoreF32(scratch.scores[i] + (first_block + b) * kKvBlockSlots, Kv::ToFloat(acc[i][b], bias));
    }
  }
}

// Slots [begin, end) of the segment that a group of queries sees, and the blocks that hold them.
struct SlotRange {
  int begin = kSegmentSlots;
  int end = 0;
  int FirstBlock() const { return begin / kKvBlockSlots; }
  int EndBlock() const { return (end + kKvBlockSlots - 1) / kKvBlockSlots; }
};

// result.acc[first_query + i][first_dim ..] = sum of p[i] V over the slots of the range, for kQ queries and kD
// registers of 16 dims (kHalf: 8 dims). Slots from range.end on are not read as numbers: they may never have been
// written.
template <typename Kv, int kQ, int kD, bool kHalf>
void ValueTile(const SegmentTask& task, int first_query, int first_dim, SlotRange range, QueryScratch& scratch) {
  const int head_dim = task.layout->head_dim;
  const int64_t row_bytes = static_cast<int64_t>(head_dim) * Kv::kStepBytes / kLanes;
  const int64_t first_byte = task.layout->v_tile + static_cast<int64_t>(first_dim) * Kv::kStepBytes / kLanes;
  typename Kv::Acc acc[kQ][kD];
#pragma GCC unroll 8
  for (int i = 0; i < kQ; ++i) {
#pragma GCC unroll 8
    for (int d = 0; d < kD; ++d) acc[i][d] = Kv::Zero();
  }
  const auto step = [&](const std::byte* v, int64_t ahead, int slot, auto&& adjust) {
    typename Kv::Vec vec[kD];
#pragma GCC unroll 8
    for (int d = 0; d < kD; ++d) {
      if constexpr (kHalf) {
        vec[d] = adjust(Kv::LoadHalf(v));
      } else {
        vec[d] = adjust(Kv::Load(v + d * Kv::kStepBytes));
      }
      PrefetchToL2(v + ahead + d * Kv::kStepBytes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kQ; ++i) {
      const typename Kv::Word word = Kv::Broadcast(scratch.P<Kv>(i) + slot);
#pragma GCC unroll 8
      for (int d = 0; d < kD; ++d) acc[i][d] = Kv::Dot(acc[i][d], word, vec[d]);
    }
  };
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    const std::byte* v = task.parts[block] + first_byte;
    const bool has_next = first_query == 0 && task.next_parts[block] != nullptr;
    const int64_t ahead =
        has_next ? task.next_parts[block] + task.layout->k_tile - (task.parts[block] + task.layout->v_tile) : 0;
    int slot = block * kKvBlockSlots;
    const int block_end = range.end - slot < kKvBlockSlots ? range.end : slot + kKvBlockSlots;
    for (; slot + Kv::kGroup <= block_end; slot += Kv::kGroup, v += row_bytes) {
      step(v, ahead, slot, [](typename Kv::Vec vec) { return vec; });
    }
    if (slot < block_end) step(v, ahead, slot, Kv::KeepWritten);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQ; ++i) {
    float* out = task.result.acc + static_cast<int64_t>(first_query + i) * PaddedHeadDim(head_dim) + first_dim;
#pragma GCC unroll 8
    for (int d = 0; d < kD; ++d) {
      F32x16 value = Kv::ToFloat(acc[i][d], scratch.bias[i]);
      if constexpr (Kv::kScaled) value = Mul(value, SetF32(scratch.factor[i]));
      StoreF32(out + d * kLanes, value);
    }
  }
}

inline LaneMask VisibleLanes(int lo, int hi, int block) {
  const int begin = lo - block * kKvBlockSlots;
  const int end = hi - block * kKvBlockSlots;
  const uint32_t below_end = end <= 0 ? 0u : end >= kKvBlockSlots ? 0xffffu : (1u << end) - 1u;
  const uint32_t below_begin = begin <= 0 ? 0u : begin >= kKvBlockSlots ? 0xffffu : (1u << begin) - 1u;
  return static_cast<LaneMask>(below_end & ~below_begin);
}

// Turns the dots of query m into scores, masked lanes to -infinity, and returns their maximum.
template <typename Kv>
float MaskedScores(const SegmentTask& task, int m, SlotRange range, float* scores) {
  const F32x16 factor = SetF32(task.queries->factor[m]);
  const F32x16 minus_infinity = SetF32(-std::numeric_limits<float>::infinity());
  F32x16 largest = minus_infinity;
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    F32x16 score = Mul(LoadF32(scores + block * kKvBlockSlots), factor);
    if constexpr (Kv::kScaled) {
      score = Mul(score, LoadF32(reinterpret_cast<const float*>(task.parts[block] + task.layout->k_scales)));
    }
    if (task.softcap > 0)
      score = Mul(Tanh(Mul(score, SetF32(1.0f / (task.softcap * kLog2E)))), SetF32(task.softcap * kLog2E));
    const LaneMask visible = VisibleLanes(task.lo[m], task.hi[m], block);
    if (visible != 0xffffu) score = Select(visible, score, minus_infinity);
    StoreF32(scores + block * kKvBlockSlots, score);
    largest = Max(largest, score);
  }
  return ReduceMax(largest);
}

// Stores p of 16 slots as elements and returns them as the sum counts them.
template <typename Kv>
F32x16 StoreProbabilities(F32x16 p, typename Kv::Elem* out) {
  if constexpr (std::is_same_v<Kv, KvBf16>) {
    StoreBf16(out, p);
    return RoundToBf16(p);
  } else {
    StoreF32(out, p);
    return p;
  }
}

// I8: scores hold p times the V scale of its token; stores them in units of a 32767th of the largest, with *factor the
// unit.
inline void QuantiseProbabilities(SlotRange range, const float* scores, float largest, int16_t* p, float* factor,
                                  int32_t* bias) {
  const F32x16 to_integer = SetF32(largest > 0 ? 32767.0f / largest : 0.0f);
  F32x16 total = ZeroF32();
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    const F32x16 rounded = RoundToEven(Mul(LoadF32(scores + block * kKvBlockSlots), to_integer));
    StoreI16(p + block * kKvBlockSlots, rounded);
    total = Add(total, rounded);
  }
  const float sum = ReduceAdd(total);
  const bool finite = sum <= kSegmentSlots * 32767.0f;
  *factor = finite ? largest / 32767.0f : std::numeric_limits<float>::quiet_NaN();
  *bias = finite ? static_cast<int32_t>(sum) * 128 : 0;
}

// The softmax of query m, which is number i of the scratch: fills its p, max and sum.
template <typename Kv>
void SoftmaxRow(const SegmentTask& task, int m, int i, SlotRange range, QueryScratch& scratch) {
  typename Kv::Elem* p = scratch.P<Kv>(i);
  float* scores = scratch.scores[i];
  task.result.max[m] = -std::numeric_limits<float>::infinity();
  task.result.sum[m] = 0;
  scratch.factor[i] = 0;
  scratch.bias[i] = 0;
  if (task.lo[m] >= task.hi[m]) {
    std::memset(p, 0, kSegmentSlots * sizeof(*p));
    return;
  }
  const float max = MaskedScores<Kv>(task, m, range, scores);
  const F32x16 max_lanes = SetF32(max);
  F32x16 sum = ZeroF32();
  F32x16 largest = ZeroF32();
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    float* at = scores + block * kKvBlockSlots;
    const F32x16 value = Exp2(Sub(LoadF32(at), max_lanes));
    if constexpr (Kv::kScaled) {
      const auto* scales = reinterpret_cast<const float*>(task.parts[block] + task.layout->v_scales);
      const LaneMask visible = VisibleLanes(task.lo[m], task.hi[m], block);
      const F32x16 weighted = Select(visible, Mul(value, LoadF32(scales)), ZeroF32());
      if constexpr (std::is_same_v<Kv, KvF8>) {
        StoreF32(p + block * kKvBlockSlots, weighted);
      } else {
        StoreF32(at, weighted);
        largest = Max(weighted, largest);
      }
      sum = Add(sum, value);
    } else {
      sum = Add(sum, StoreProbabilities<Kv>(value, p + block * kKvBlockSlots));
    }
  }
  if constexpr (std::is_same_v<Kv, KvI8>) {
    QuantiseProbabilities(range, scores, ReduceMax(largest), p, &scratch.factor[i], &scratch.bias[i]);
  } else {
    scratch.factor[i] = kF8Unit;
  }
  task.result.max[m] = max;
  task.result.sum[m] = ReduceAdd(sum);
}

// Queries [first, first + kQ): scores, softmax and values over the slots that any of them sees.
template <typename Kv, int kQ>
void SegmentQueries(const SegmentTask& task, int first) {
  SlotRange range;
  for (int m = first; m < first + kQ; ++m) {
    if (task.lo[m] >= task.hi[m]) continue;
    range.begin = task.lo[m] < range.begin ? task.lo[m] : range.begin;
    range.end = task.hi[m] > range.end ? task.hi[m] : range.end;
  }
  QueryScratch scratch;
  int block = range.FirstBlock();
  for (; block + kWideTile<kQ> <= range.EndBlock(); block += kWideTile<kQ>)
    ScoreTile<Kv, kQ, kWideTile<kQ>>(task, first, block, scratch);
  for (; block < range.EndBlock(); ++block) ScoreTile<Kv, kQ, 1>(task, first, block, scratch);

  for (int i = 0; i < kQ; ++i) SoftmaxRow<Kv>(task, first + i, i, range, scratch);

  const int head_dim = task.layout->head_dim;
  int d = 0;
  for (; d + kWideTile<kQ> * kLanes <= head_dim; d += kWideTile<kQ> * kLanes) {
    ValueTile<Kv, kQ, kWideTile<kQ>, false>(task, first, d, range, scratch);
  }
  for (; d + kLanes <= head_dim; d += kLanes) ValueTile<Kv, kQ, 1, false>(task, first, d, range, scratch);
  if (d < head_dim) ValueTile<Kv, kQ, 1, true>(task, first, d, range, scratch);
}

template <typename Kv>
void SegmentOf(const SegmentTask& task) {
  int m = 0;
  for (; m + kQueryTile <= task.num_queries; m += kQueryTile) SegmentQueries<Kv, kQueryTile>(task, m);
  for (; m + 2 <= task.num_queries; m += 2) SegmentQueries<Kv, 2>(task, m);
  for (; m < task.num_queries; ++m) SegmentQueries<Kv, 1>(task, m);
}

void PackQueries(DType dtype, int head_dim, float scale, const float* const* q, int num_queries, PackedQueries* out) {
  switch (dtype) {
    case DType::kBF16:
      return PackAll<KvBf16>(head_dim, scale, q, num_queries, out);
    case DType::kI8:
      return PackAll<KvI8>(head_dim, scale, q, num_queries, out);
    case DType::kF8E4M3:
      return PackAll<KvF8>(head_dim, scale, q, num_queries, out);
    default:
      return PackAll<KvF32>(head_dim, scale, q, num_queries, out);
  }
}

void Segment(const SegmentTask& task) {
  switch (task.dtype) {
    case DType::kBF16:
      return SegmentOf<KvBf16>(task);
    case DType::kF16:
      return SegmentOf<KvF16>(task);
    case DType::kI8:
      return SegmentOf<KvI8>(task);
    case DType::kF8E4M3:
      return SegmentOf<KvF8>(task);
    default:
      return SegmentOf<KvF32>(task);
  }
}

// For 16 queries: max = the larger of the two, keep = 2^(running - max), add = 2^(segment - max).
inline void FoldFactors(const float* segment_max, float* running_max, int n, float* keep, float* add) {
  const F32x16 from = LoadPartF32(segment_max, n);
  const F32x16 running = LoadPartF32(running_max, n);
  const F32x16 max = Max(from, running);
  StoreF32(keep, Exp2(Sub(running, max)));
  StoreF32(add, Exp2(Sub(from, max)));
  StorePartF32(running_max, max, n);
}

void Fold(const SegmentResult& segment, int num_queries, int head_dim, const SegmentResult& running) {
  const int stride = PaddedHeadDim(head_dim);
  float keep[kLanes];
  float add[kLanes];
  for (int m = 0; m < num_queries; ++m) {
    const int i = m % kLanes;
    if (i == 0) {
      const int n = num_queries - m < kLanes ? num_queries - m : kLanes;
      FoldFactors(segment.max + m, running.max + m, n, keep, add);
    }
    if (segment.max[m] == -std::numeric_limits<float>::infinity()) continue;
    running.sum[m] = running.sum[m] * keep[i] + segment.sum[m] * add[i];
    const F32x16 keep_lanes = SetF32(keep[i]);
    const F32x16 add_lanes = SetF32(add[i]);
    float* acc = running.acc + static_cast<int64_t>(m) * stride;
    const float* from = segment.acc + static_cast<int64_t>(m) * stride;
    for (int d = 0; d < stride; d += kLanes) {
      StoreF32(acc + d, Fma(LoadF32(from + d), add_lanes, Mul(LoadF32(acc + d), keep_lanes)));
    }
  }
}

void Finish(const FinishTask& task) {
  const SegmentResult& running = task.running;
  const int stride = PaddedHeadDim(task.head_dim);
  for (int m = 0; m < task.num_queries; ++m) {
    float factor = 1.0f / running.sum[m];
    if (task.sinks != nullptr) {
      const float sink[kLanes] = {*task.sinks[m] * kLog2E};
      float max[kLanes] = {running.max[m]};
      float keep[kLanes];
      float add[kLanes];
      FoldFactors(sink, max, 1, keep, add);
      factor = keep[0] / (running.sum[m] * keep[0] + add[0]);
    }
    const float* acc = running.acc + static_cast<int64_t>(m) * stride;
    const F32x16 factor_lanes = SetF32(factor);
    for (int d = 0; d < task.head_dim; d += kLanes) {
      const int n = task.head_dim - d < kLanes ? task.head_dim - d : kLanes;
      F32x16 value = Mul(LoadF32(acc + d), factor_lanes);
      if (task.gates != nullptr) value = Mul(value, Sigmoid(LoadPartF32(task.gates[m] + d, n)));
      StorePartF32(task.out[m] + d, value, n);
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
