// One segment of KV for a tile of queries, in terms of simd/lanes.h; included by attention_body.h alone.
//
// Scores: lanes are the 16 tokens of a block, one accumulator per (query, block) runs over the dims in ascending order.
// Values: lanes are 16 dims, one accumulator per (query, 16 dims) runs over the tokens of the segment in ascending
// order. Register tiles only group such chains, so their shape never changes a bit.
//
// Decode reads memory at the rate of its prefetches, so memory is asked all the time and in the order of its addresses:
// the first queries of a tile walk through the blocks of the segment that comes next while they do everything else.
#pragma once

#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/attention/attention_numbers.h"

namespace millrace::kernels {
namespace {

// Queries that a register tile spans.
constexpr int kMaxQueryTile = 6;
template <typename Kv>
constexpr int kQueryTile = kAccumulators >= 24 && Kv::kSums == 1 ? kMaxQueryTile : 4;
// Blocks, or 16 dims, that a register tile of kQ queries spans.
template <typename Kv, int kQ>
constexpr int kWideTile = kAccumulators / (kQ * Kv::kSums) < 2   ? 1
                          : kAccumulators / (kQ * Kv::kSums) < 4 ? 2
                                                                 : 4;

// What the first queries of a tile prefetch, line by line: V of this segment where nobody asked for it yet, then K, V
// and scales of the next segment. After that it asks for one line in cache again and again, which costs nothing.
class AheadList {
 public:
  static constexpr int kLineBytes = 64;
  struct Range {
    const std::byte* begin;
    const std::byte* end;
    int64_t step;
  };

  explicit AheadList(const SegmentTask& task) {
    int n = 0;
    for (int b = 0; b < kSegmentBlocks && task.cold; ++b) {
      if (task.parts[b] != nullptr)
        ranges_[n++] = RangeOf(task.parts[b] + task.layout->v_tile, task.parts[b], *task.layout);
    }
    for (const std::byte* part : task.next_parts) {
      if (part != nullptr) ranges_[n++] = RangeOf(part, part, *task.layout);
    }
    ranges_[n] = Idle();
  }
  const Range* begin() const { return ranges_; }
  static Range Idle() { return {kCached, nullptr, 0}; }

 private:
  // The lines from `from` to the end of the part.
  static Range RangeOf(const std::byte* from, const std::byte* part, const KvLayout& layout) {
    const int64_t lines = (part + layout.head_bytes - from + kLineBytes - 1) / kLineBytes;
    return {from, from + lines * kLineBytes, kLineBytes};
  }

  static constexpr std::byte kCached[kLineBytes] = {};
  Range ranges_[2 * kSegmentBlocks + 1];
};

// A place in an AheadList. Loops work on a copy, which stays in registers.
struct Ahead {
  AheadList::Range range;
  const AheadList::Range* next;

  explicit Ahead(const AheadList& list) : range(*list.begin()), next(list.begin() + 1) {}
  bool Idle() const { return range.end == nullptr; }
  void Ask() {
    if (range.begin == range.end) range = *next++;
    PrefetchToL2(range.begin);
    range.begin += range.step;
  }
};

// Scratch of a register tile's queries: scores, then p as elements of the cache type.
struct QueryScratch {
  alignas(64) float scores[kMaxQueryTile][kSegmentSlots];
  alignas(64) float p[kMaxQueryTile][kSegmentSlots];
  float factor[kMaxQueryTile];  // I8, F8: unit of p V
  int32_t bias[kMaxQueryTile];  // I8: 128 * sum of p

  template <typename Kv>
  typename Kv::Elem* P(int query) {
    return reinterpret_cast<typename Kv::Elem*>(p[query]);
  }
};

// Three quarters of the lines of K that a step of four blocks reads.
template <typename Kv>
constexpr int kAsksPerScoreStep = Kv::kStepBytes < 64 ? 1 : 3;

// For the later queries of a tile.
struct NothingAhead {
  bool Idle() const { return true; }
  void Ask() {}
};

// scratch.scores[i] = dots of query first_query + i with the tokens of kB blocks, for kQ queries.
template <typename Kv, int kQ, int kB, typename AheadType>
void ScoreTile(const SegmentTask& task, int first_query, int first_block, AheadType& ahead_of_tile,
               QueryScratch& scratch) {
  const int head_dim = task.layout->head_dim;
  const int stride = PaddedHeadDim(head_dim);
  const auto* q = reinterpret_cast<const typename Kv::Elem*>(task.queries->values) + first_query * stride;
  AheadType ahead = ahead_of_tile;
  const std::byte* k[kB];
#pragma GCC unroll 8
  for (int b = 0; b < kB; ++b) k[b] = task.parts[first_block + b] + task.layout->k_tile;
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
      if (b < kAsksPerScoreStep<Kv>) ahead.Ask();
    }
#pragma GCC unroll 8
    for (int i = 0; i < kQ; ++i) {
      const typename Kv::Word word = Kv::Broadcast(q + i * stride + step * Kv::kGroup);
#pragma GCC unroll 8
      for (int b = 0; b < kB; ++b) Kv::AddDot(acc[i][b], word, vec[b]);
    }
  }
  ahead_of_tile = ahead;
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
template <typename Kv, int kQ, int kD, bool kHalf, typename AheadType>
void ValueTile(const SegmentTask& task, int first_query, int first_dim, SlotRange range, AheadType& ahead_of_tile,
               QueryScratch& scratch) {
  AheadType ahead = ahead_of_tile;
  const int head_dim = task.layout->head_dim;
  const int64_t row_bytes = static_cast<int64_t>(head_dim) * Kv::kStepBytes / kLanes;
  const int64_t first_byte = task.layout->v_tile + static_cast<int64_t>(first_dim) * Kv::kStepBytes / kLanes;
  typename Kv::Acc acc[kQ][kD];
#pragma GCC unroll 8
  for (int i = 0; i < kQ; ++i) {
#pragma GCC unroll 8
    for (int d = 0; d < kD; ++d) acc[i][d] = Kv::Zero();
  }
  const auto step = [&](const std::byte* v, int slot, auto&& adjust) {
    typename Kv::Vec vec[kD];
#pragma GCC unroll 8
    for (int d = 0; d < kD; ++d) {
      if constexpr (kHalf) {
        vec[d] = adjust(Kv::LoadHalf(v));
      } else {
        vec[d] = adjust(Kv::Load(v + d * Kv::kStepBytes));
      }
      if (d % (AheadList::kLineBytes / Kv::kStepBytes) == 0) ahead.Ask();
    }
#pragma GCC unroll 8
    for (int i = 0; i < kQ; ++i) {
      const typename Kv::Word word = Kv::Broadcast(scratch.P<Kv>(i) + slot);
#pragma GCC unroll 8
      for (int d = 0; d < kD; ++d) Kv::AddDot(acc[i][d], word, vec[d]);
    }
  };
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    const std::byte* v = task.parts[block] + first_byte;
    int slot = block * kKvBlockSlots;
    const int block_end = range.end - slot < kKvBlockSlots ? range.end : slot + kKvBlockSlots;
    for (; slot + Kv::kGroup <= block_end; slot += Kv::kGroup, v += row_bytes) {
      step(v, slot, [](typename Kv::Vec vec) { return vec; });
    }
    if (slot < block_end) step(v, slot, Kv::KeepWritten);
  }
  ahead_of_tile = ahead;
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

// Slots [lo, hi) of the segment that one query sees.
class VisibleSlots {
 public:
  VisibleSlots(int lo, int hi)
      : lo_(lo), hi_(hi), full_begin_((lo + kKvBlockSlots - 1) / kKvBlockSlots), full_end_(hi / kKvBlockSlots) {}

  LaneMask Lanes(int block) const {
    if (block >= full_begin_ && block < full_end_) return kAllLanes;
    const int begin = lo_ - block * kKvBlockSlots;
    const int end = hi_ - block * kKvBlockSlots;
    const uint32_t below_end = end <= 0 ? 0u : end >= kKvBlockSlots ? kAllLanes : (1u << end) - 1u;
    const uint32_t below_begin = begin <= 0 ? 0u : begin >= kKvBlockSlots ? kAllLanes : (1u << begin) - 1u;
    return static_cast<LaneMask>(below_end & ~below_begin);
  }
  static constexpr LaneMask kAllLanes = 0xffffu;

 private:
  int lo_, hi_;
  int full_begin_, full_end_;  // blocks that it sees whole
};

// Turns the dots of query m into scores / *unit, masked lanes into -infinity, and returns the largest score.
template <typename Kv>
float MaskedScores(const SegmentTask& task, int m, SlotRange range, const VisibleSlots& slots, float* scores,
                   float* unit) {
  const F32x16 factor = SetF32(task.queries->factor[m]);
  const F32x16 minus_infinity = SetF32(-std::numeric_limits<float>::infinity());
  // A positive factor can wait for the exponentials.
  const bool plain = !Kv::kScaled && task.softcap <= 0 && task.queries->factor[m] > 0;
  *unit = plain ? task.queries->factor[m] : 1.0f;
  F32x16 largest = minus_infinity;
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    float* at = scores + block * kKvBlockSlots;
    const LaneMask visible = slots.Lanes(block);
    F32x16 score = LoadF32(at);
    if (!plain) {
      score = Mul(score, factor);
      if constexpr (Kv::kScaled) {
        score = Mul(score, LoadF32(reinterpret_cast<const float*>(task.parts[block] + task.layout->k_scales)));
      }
      if (task.softcap > 0)
        score = Mul(Tanh(Mul(score, SetF32(1.0f / (task.softcap * kLog2E)))), SetF32(task.softcap * kLog2E));
    }
    if (visible != VisibleSlots::kAllLanes) score = Select(visible, score, minus_infinity);
    if (!plain || visible != VisibleSlots::kAllLanes) StoreF32(at, score);
    largest = Max(largest, score);
  }
  return ReduceMax(largest) * *unit;
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

// I8: scores hold p times the V scale of its token; stores them in units of 1 / kLargestI8Factor of the largest,
// with *factor the unit.
inline void QuantiseProbabilities(SlotRange range, const float* scores, float largest, int16_t* p, float* factor,
                                  int32_t* bias) {
  const F32x16 to_integer = SetF32(largest > 0 ? kLargestI8Factor / largest : 0.0f);
  F32x16 total = ZeroF32();
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    const F32x16 rounded = RoundToEven(Mul(LoadF32(scores + block * kKvBlockSlots), to_integer));
    KvI8::StoreFactors(p + block * kKvBlockSlots, rounded);
    total = Add(total, rounded);
  }
  const float sum = ReduceAdd(total);
  const bool finite = sum <= kSegmentSlots * kLargestI8Factor;
  *factor = finite ? largest / kLargestI8Factor : std::numeric_limits<float>::quiet_NaN();
  *bias = finite ? static_cast<int32_t>(sum) * 128 : 0;
}

// The softmax of query m, which is number i of the scratch and of kQ queries: fills its p, max and sum.
template <typename Kv, int kQ, typename AheadType>
void SoftmaxRow(const SegmentTask& task, int m, int i, SlotRange range, AheadType& ahead, QueryScratch& scratch) {
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
  const VisibleSlots slots(task.lo[m], task.hi[m]);
  float unit;
  const float max = MaskedScores<Kv>(task, m, range, slots, scores, &unit);
  // All queries together ask for a quarter of the lines.
  const int lines = ahead.Idle() ? 0 : static_cast<int>(task.layout->head_bytes / (AheadList::kLineBytes * 4 * kQ));
  const F32x16 unit_lanes = SetF32(unit);
  const F32x16 minus_max = SetF32(-max);
  F32x16 sum = ZeroF32();
  F32x16 largest = ZeroF32();
  for (int block = range.FirstBlock(); block < range.EndBlock(); ++block) {
    for (int line = 0; line < lines; ++line) ahead.Ask();
    float* at = scores + block * kKvBlockSlots;
    const F32x16 value = Exp2(Fma(LoadF32(at), unit_lanes, minus_max));
    if constexpr (Kv::kScaled) {
      const auto* scales = reinterpret_cast<const float*>(task.parts[block] + task.layout->v_scales);
      const LaneMask visible = slots.Lanes(block);
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
template <typename Kv, int kQ, typename AheadType>
void SegmentQueries(const SegmentTask& task, int first, AheadType ahead) {
  SlotRange range;
  for (int m = first; m < first + kQ; ++m) {
    if (task.lo[m] >= task.hi[m]) continue;
    range.begin = task.lo[m] < range.begin ? task.lo[m] : range.begin;
    range.end = task.hi[m] > range.end ? task.hi[m] : range.end;
  }
  QueryScratch scratch;
  int block = range.FirstBlock();
  for (; block + kWideTile<Kv, kQ> <= range.EndBlock(); block += kWideTile<Kv, kQ>)
    ScoreTile<Kv, kQ, kWideTile<Kv, kQ>>(task, first, block, ahead, scratch);
  for (; block < range.EndBlock(); ++block) ScoreTile<Kv, kQ, 1>(task, first, block, ahead, scratch);

  for (int i = 0; i < kQ; ++i) SoftmaxRow<Kv, kQ>(task, first + i, i, range, ahead, scratch);

  const int head_dim = task.layout->head_dim;
  int d = 0;
  for (; d + kWideTile<Kv, kQ> * kLanes <= head_dim; d += kWideTile<Kv, kQ> * kLanes) {
    ValueTile<Kv, kQ, kWideTile<Kv, kQ>, false>(task, first, d, range, ahead, scratch);
  }
  for (; d + kLanes <= head_dim; d += kLanes) ValueTile<Kv, kQ, 1, false>(task, first, d, range, ahead, scratch);
  if (d < head_dim) ValueTile<Kv, kQ, 1, true>(task, first, d, range, ahead, scratch);
}

// Takes queries from `first` on and returns how many.
template <typename Kv, typename AheadType>
int SegmentGroup(const SegmentTask& task, int first, AheadType ahead) {
  const int left = task.num_queries - first;
  if (left >= kQueryTile<Kv>) {
    SegmentQueries<Kv, kQueryTile<Kv>>(task, first, ahead);
    return kQueryTile<Kv>;
  }
  if (left >= 4) {
    SegmentQueries<Kv, 4>(task, first, ahead);
    return 4;
  }
  if (left >= 2) {
    SegmentQueries<Kv, 2>(task, first, ahead);
    return 2;
  }
  SegmentQueries<Kv, 1>(task, first, ahead);
  return 1;
}

template <typename Kv>
void SegmentOf(const SegmentTask& task) {
  const AheadList list(task);
  int m = SegmentGroup<Kv>(task, 0, Ahead(list));
  while (m < task.num_queries) m += SegmentGroup<Kv>(task, m, NothingAhead());
}

}  // namespace
}  // namespace millrace::kernels
