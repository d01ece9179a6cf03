#include "cuda/attention.h"
#include "cuda/attention_tile.cuh"
#include "cuda/launch.h"
#include "cuda/paged_kv.cuh"

namespace millrace::cuda {
namespace {

constexpr int kStages = 3;  // tiles of keys or values in flight or in use

// What a block works on: query rows [first, first + 16 kWarps) of one (row, kv head), and the KV that they see.
struct Work {
  int row, kv_head, group;
  int query_begin, context, num_queries;  // num_queries counts (token, head) pairs
  int first_query;
  int first_slot, end_slot;  // of the KV that any query of the block sees

  __device__ int Token(int query) const { return query_begin + query / group; }
  __device__ int Head(int query) const { return kv_head * group + query % group; }
};

__device__ __forceinline__ Work MakeWork(const AttentionParams& p, int row, int kv_head, int first_query, int rows) {
  Work w;
  w.row = row;
  w.kv_head = kv_head;
  w.group = p.num_heads / p.kv.num_kv_heads;
  w.query_begin = p.kv.query_start[row];
  w.context = p.kv.context_len[row];
  w.num_queries = (p.kv.query_start[row + 1] - w.query_begin) * w.group;
  w.first_query = first_query;
  const int last_query = first_query + rows < w.num_queries ? first_query + rows - 1 : w.num_queries - 1;
  w.end_slot = w.context + last_query / w.group + 1;
  const int oldest = w.context + first_query / w.group - p.window + 1;
  w.first_slot = p.window > 0 && oldest > 0 ? oldest : 0;
  return w;
}

// Copies 64 keys (or values) from slot on; slots without a block or beyond end_slot become zeros, so that a probability
// of zero times what lies there is zero.
template <int kDim, int kThreads>
__device__ __forceinline__ void FillTile(const AttentionParams& p, const Work& w, int slot, bool values,
                                         std::byte* tile) {
  constexpr int kChunks = kDim / 8;
  const int32_t* table = p.kv.block_ids + p.kv.table_start[w.row];
#pragma unroll 1  // unrolled, the addresses of every turn would stay in registers
  for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * kChunks; i += kThreads) {
    const int key = i / kChunks, chunk = i % kChunks;
    const int at = slot + key;
    const int32_t block = at < w.end_slot ? table[at / kBlockSlots] : -1;
    const bool valid = block >= 0 && 8 * chunk < p.kv.head_dim;
    const uint16_t* from = reinterpret_cast<const uint16_t*>(p.kv.blocks);
    if (valid) from = KeyAddress(p.kv, block, w.kv_head, at) + (values ? kBlockSlots * p.kv.head_dim : 0) + 8 * chunk;
    CopyAsync16(tile + TileOffset<kDim>(key, chunk), from, valid);
  }
}

// The query rows of this thread.
struct ThreadRows {
  int low, high;  // query numbers, < 0 when there is none
  Visible low_seen, high_seen;
};

__device__ __forceinline__ ThreadRows MakeThreadRows(const AttentionParams& p, const Work& w) {
  const int first = w.first_query + static_cast<int>(threadIdx.x) / kWarp * 16 + LaneIndex() / 4;
  const auto query = [&](int i) { return i < w.num_queries ? i : -1; };
  const auto seen = [&](int i) {
    const int last = i < 0 ? -1 : w.context + i / w.group;
    return Visible{p.window > 0 ? last - p.window + 1 : 0, last};
  };
  ThreadRows rows{query(first), query(first + 8), {}, {}};
  rows.low_seen = seen(rows.low);
  rows.high_seen = seen(rows.high);
  return rows;
}

template <int kDim>
__device__ __forceinline__ QueryFragment<kDim> LoadThreadQuery(const AttentionParams& p, const Work& w,
                                                               const ThreadRows& rows) {
  const auto at = [&](int query) -> const float* {
    if (query < 0) return nullptr;
    return p.q + w.Token(query) * p.q_stride + static_cast<int64_t>(w.Head(query)) * p.kv.head_dim;
  };
  QueryFragment<kDim> fragment;
  LoadQuery<kDim>(at(rows.low), at(rows.high), p.kv.head_dim, &fragment);
  return fragment;
}

// Runs over segments [first_segment, end_segment) and calls finish(state) after each. With kOne there is one segment
// and finish is called after the loop, where fewer registers are in use.
template <int kDim, int kWarps, bool kOne, typename Finish>
__device__ __forceinline__ void ForEachSegment(const AttentionParams& p, const Work& w, const ThreadRows& rows,
                                               int first_segment, int end_segment, const Finish& finish) {
  constexpr int kTileBytes = kTileKeys * kDim * 2;
  std::byte* ring = SharedMemory();
  const QueryFragment<kDim> query = LoadThreadQuery<kDim>(p, w, rows);
  const int begin = max(first_segment * kSegmentSlots, w.first_slot / kTileKeys * kTileKeys);
  const int end = min(end_segment * kSegmentSlots, w.end_slot);
  const int num_loads = (end - begin + kTileKeys - 1) / kTileKeys * 2;  // keys, values, keys, values, ...
  const auto fill = [&](int load) {
    if (load < num_loads) {
      FillTile<kDim, kWarps * kWarp>(p, w, begin + load / 2 * kTileKeys, load % 2 == 1,
                                     ring + load % kStages * kTileBytes);
    }
    CopyAsyncCommit();
  };
  fill(0);
  fill(1);
  SegmentState<kDim> state;
  ClearSegment(&state);
  float scores[kTileKeys / 8][4];
  for (int load = 0; load < num_loads; load += 2) {
    const int slot = begin + load / 2 * kTileKeys;
    CopyAsyncWait<1>();
    __syncthreads();
    fill(load + 2);
    ScoreTile<kDim>(query, ring + load % kStages * kTileBytes, scores);
    MaskTile(p, slot, rows.low_seen, rows.high_seen, scores);
    SoftmaxRow<kDim, 0>(scores, &state);
    SoftmaxRow<kDim, 1>(scores, &state);
    CopyAsyncWait<1>();
    __syncthreads();
    fill(load + 3);
    AddValues<kDim>(scores, ring + (load + 1) % kStages * kTileBytes, &state);
    if constexpr (!kOne) {
      if ((slot + kTileKeys) % kSegmentSlots == 0 || load + 2 >= num_loads) {
        FinishSegment(&state);
        finish(state);
        ClearSegment(&state);
      }
    }
  }
  CopyAsyncWait<0>();
  if constexpr (kOne) {
    FinishSegment(&state);
    finish(state);
  }
}

__device__ __forceinline__ void StoreValue(const AttentionParams& p, const Work& w, int query, int dim, float value) {
  const int64_t token = w.Token(query), at = static_cast<int64_t>(w.Head(query)) * p.kv.head_dim + dim;
  if (p.out_gate != nullptr) value /= 1.0f + expf(-p.out_gate[token * p.out_gate_stride + at]);
  p.out[token * p.out_stride + at] = value;
}

// Many query rows: one block walks through all segments; the running accumulator lies in shared memory, each value with
// its own thread.
template <int kDim>
__global__ void __launch_bounds__(128, 1) AttendLarge(AttentionParams p) {
  constexpr int kWarps = 4;
  const int row = p.first_row + static_cast<int>(blockIdx.z);
  const int first_query = static_cast<int>(blockIdx.x) * 16 * kWarps;
  const Work w = MakeWork(p, row, static_cast<int>(blockIdx.y), first_query, 16 * kWarps);
  if (w.num_queries <= kSmallRows || first_query >= w.num_queries) return;
  const ThreadRows rows = MakeThreadRows(p, w);
  auto* total =
      reinterpret_cast<float4*>(SharedMemory() + kStages * kTileKeys * kDim * 2) + threadIdx.x;  // [kDim / 8][threads]
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) total[n * kWarps * kWarp] = {0.0f, 0.0f, 0.0f, 0.0f};
  SoftmaxState low = {-INFINITY, 0.0f}, high = low;
  ForEachSegment<kDim, kWarps, false>(p, w, rows, w.first_slot / kSegmentSlots, (w.end_slot - 1) / kSegmentSlots + 1,
                                      [&](const SegmentState<kDim>& segment) {
                                        float keep[2], add[2];
                                        low = MergeSegment(low, segment.low, &keep[0], &add[0]);
                                        high = MergeSegment(high, segment.high, &keep[1], &add[1]);
#pragma unroll
                                        for (int n = 0; n < kDim / 8; ++n) {
                                          float4 sum = total[n * kWarps * kWarp];
                                          sum.x = fmaf(sum.x, keep[0], segment.out[n][0] * add[0]);
                                          sum.y = fmaf(sum.y, keep[0], segment.out[n][1] * add[0]);
                                          sum.z = fmaf(sum.z, keep[1], segment.out[n][2] * add[1]);
                                          sum.w = fmaf(sum.w, keep[1], segment.out[n][3] * add[1]);
                                          total[n * kWarps * kWarp] = sum;
                                        }
                                      });
  const auto factor = [&](int query, SoftmaxState state) {
    return query < 0 ? 0.0f : FinalFactor(state, p.sinks != nullptr ? p.sinks + w.Head(query) : nullptr);
  };
  const float low_factor = factor(rows.low, low), high_factor = factor(rows.high, high);
  for (int n = 0; n < kDim / 8; ++n) {
    const int dim = 8 * n + 2 * (LaneIndex() % 4);
    if (dim >= p.kv.head_dim) continue;
    const float4 sum = total[n * kWarps * kWarp];
    if (rows.low >= 0) {
      StoreValue(p, w, rows.low, dim, sum.x * low_factor);
      StoreValue(p, w, rows.low, dim + 1, sum.y * low_factor);
    }
    if (rows.high >= 0) {
      StoreValue(p, w, rows.high, dim, sum.z * high_factor);
      StoreValue(p, w, rows.high, dim + 1, sum.w * high_factor);
    }
  }
}

// Merges the segments of one (row, kv head) in ascending order; a lane has dims lane, lane + 32, ...
template <int kDim>
__device__ __forceinline__ void MergeAndStore(const AttentionParams& p, const Work& w, const float* partial, int first,
                                              int end) {
  constexpr int kStride = PartialStride(kDim);
  const int head_dim = p.kv.head_dim, lane = LaneIndex();
  for (int query = 0; query < w.num_queries; ++query) {
    SoftmaxState total = {-INFINITY, 0.0f};
    float sum[kDim / kWarp] = {};
    for (int segment = first; segment < end; ++segment) {
      const float* from = partial + (static_cast<int64_t>(segment) * kSmallRows + query) * kStride;
      float keep, add;
      total = MergeSegment(total, {LoadCoherent(from + kDim), LoadCoherent(from + kDim + 1)}, &keep, &add);
#pragma unroll
      for (int i = 0; i < kDim / kWarp; ++i) {
        const int dim = i * kWarp + lane;
        if (dim < head_dim) sum[i] = fmaf(sum[i], keep, LoadCoherent(from + dim) * add);
      }
    }
    const float factor = FinalFactor(total, p.sinks != nullptr ? p.sinks + w.Head(query) : nullptr);
#pragma unroll
    for (int i = 0; i < kDim / kWarp; ++i) {
      const int dim = i * kWarp + lane;
      if (dim < head_dim) StoreValue(p, w, query, dim, sum[i] * factor);
    }
  }
}

// Few query rows: one warp per segment; the last one to finish merges.
template <int kDim>
__global__ void __launch_bounds__(kWarp, 1) AttendSmall(AttentionParams p) {
  const int row = p.first_row + static_cast<int>(blockIdx.z), kv_head = static_cast<int>(blockIdx.y);
  const int segment = static_cast<int>(blockIdx.x);
  const Work w = MakeWork(p, row, kv_head, 0, kSmallRows);
  const int first = w.first_slot / kSegmentSlots, end = (w.end_slot - 1) / kSegmentSlots + 1;
  if (w.num_queries > kSmallRows || w.num_queries <= 0 || segment < first || segment >= end) return;
  const ThreadRows rows = MakeThreadRows(p, w);
  constexpr int kStride = PartialStride(kDim);
  const int lane = LaneIndex();
  const int64_t slot = static_cast<int64_t>(blockIdx.z) * p.kv.num_kv_heads + kv_head;
  float* partial = p.partial + slot * p.num_segments * kSmallRows * kStride;
  float* mine = partial + static_cast<int64_t>(segment) * kSmallRows * kStride;
  ForEachSegment<kDim, 1, true>(p, w, rows, segment, segment + 1, [&](const SegmentState<kDim>& state) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = half == 0 ? rows.low : rows.high;
      if (query < 0) continue;
      float* to = mine + query * kStride;
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        const int dim = 8 * n + 2 * (lane % 4);
        *reinterpret_cast<float2*>(to + dim) = {state.out[n][2 * half], state.out[n][2 * half + 1]};
      }
      const SoftmaxState& sums = half == 0 ? state.low : state.high;
      if (lane % 4 == 0) *reinterpret_cast<float2*>(to + kDim) = {sums.max, sums.sum};
    }
  });
  __threadfence();
  __syncthreads();
  auto* last = reinterpret_cast<unsigned*>(SharedMemory());
  if (lane == 0) {
    *last = atomicAdd(p.tickets + slot, 1u) == static_cast<unsigned>(end - first - 1) ? 1u : 0u;
    if (*last != 0) p.tickets[slot] = 0;
  }
  __syncthreads();
  if (*last == 0) return;
  __threadfence();
  MergeAndStore<kDim>(p, w, partial, first, end);
}

template <int kDim>
void StartSmall(const AttentionParams& p, void* stream) {
  LaunchShape shape;
  shape.grid = {static_cast<unsigned>(p.num_segments), static_cast<unsigned>(p.kv.num_kv_heads),
                static_cast<unsigned>(p.num_rows)};
  shape.threads = kWarp;
  shape.shared_bytes = kStages * kTileKeys * kDim * 2;
  shape.stream = stream;
  Launch<AttendSmall<kDim>>(shape, p);
}

template <int kDim>
void StartLarge(const AttentionParams& p, int max_query_len, void* stream) {
  const int group = p.num_heads / p.kv.num_kv_heads;
  LaunchShape shape;
  shape.grid = {static_cast<unsigned>((max_query_len * group + 63) / 64), static_cast<unsigned>(p.kv.num_kv_heads),
                static_cast<unsigned>(p.num_rows)};
  shape.threads = 128;
  shape.shared_bytes = kStages * kTileKeys * kDim * 2 + 64 * kDim * sizeof(float);
  shape.stream = stream;
  Launch<AttendLarge<kDim>>(shape, p);
}

}  // namespace

void LaunchAttentionSmall(const AttentionParams& p, void* stream) {
  if (p.kv.head_dim <= 32) return StartSmall<32>(p, stream);
  if (p.kv.head_dim <= 64) return StartSmall<64>(p, stream);
  if (p.kv.head_dim <= 96) return StartSmall<96>(p, stream);
  if (p.kv.head_dim <= 128) return StartSmall<128>(p, stream);
  StartSmall<256>(p, stream);
}

void LaunchAttentionLarge(const AttentionParams& p, int max_query_len, void* stream) {
  if (p.kv.head_dim <= 32) return StartLarge<32>(p, max_query_len, stream);
  if (p.kv.head_dim <= 64) return StartLarge<64>(p, max_query_len, stream);
  if (p.kv.head_dim <= 96) return StartLarge<96>(p, max_query_len, stream);
  if (p.kv.head_dim <= 128) return StartLarge<128>(p, max_query_len, stream);
  StartLarge<256>(p, max_query_len, stream);
}

}  // namespace millrace::cuda
