// The inner kernels of attention: one tile of queries of one kv head against one segment of KV. Internal to
// kernels/attention, its tests and benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/attention/kv_layout.h"
#include "kernels/isa.h"

namespace millrace::kernels {

inline constexpr int kSegmentBlocks = kSegmentSlots / kKvBlockSlots;
inline constexpr int kMaxTileQueries = 64;
inline constexpr int kMaxTileFloats = 8192;  // num_queries * padded head_dim of a tile

// head_dim rounded up to whole registers: the stride of packed queries and of accumulators, in elements.
inline int PaddedHeadDim(int head_dim) {
  return (head_dim + 15) / 16 * 16;
}

// Queries of a tile, packed for the scores: elements as the cache type multiplies them (f32 for F32, F16 and F8, bf16,
// integers of 15 bits for I8).
struct PackedQueries {
  alignas(64) std::byte values[kMaxTileFloats * 4];  // [query][padded head_dim] elements
  float factor[kMaxTileQueries];                     // score = factor * dot (* K scale), in units of ln 2
  int32_t bias[kMaxTileQueries];                     // I8: 128 * sum of the elements, taken from the dot
};

// What one segment adds for each query: maximum score, sum of p = 2^(score - maximum), sum of p V. Scores are in units
// of ln 2. max is -infinity where nothing is visible; then sum and acc mean nothing.
struct SegmentResult {
  float* max;  // [num_queries]
  float* sum;  // [num_queries]
  float* acc;  // [num_queries, padded head_dim]
};

struct SegmentTask {
  DType dtype = DType::kBF16;
  const KvLayout* layout = nullptr;
  int num_queries = 0;
  const PackedQueries* queries = nullptr;
  float softcap = 0.0f;
  // Visible slots of each query, counted from the start of the segment: [lo, hi), empty when lo >= hi; both in [0,
  // kSegmentSlots].
  const int32_t* lo = nullptr;  // [num_queries]
  const int32_t* hi = nullptr;  // [num_queries]
  // This head's part of each block; only blocks from the first to the last visible slot are read. Slots after
  // the largest hi may hold anything.
  const std::byte* parts[kSegmentBlocks] = {};
  const std::byte* next_parts[kSegmentBlocks] = {};  // of the segment that this thread does next, or null: a hint
  bool cold = false;                                 // this segment was not the next of the one before: a hint
  SegmentResult result;
};

// Turns the folded segments of a tile into outputs.
struct FinishTask {
  SegmentResult running;
  int num_queries = 0;
  int head_dim = 0;
  const float* const* sinks = nullptr;  // null, or [num_queries] pointers to one sink each
  const float* const* gates = nullptr;  // null, or [num_queries] pointers to [head_dim]
  float* const* out = nullptr;          // [num_queries] pointers to [head_dim]
};

struct AttentionKernels {
  Isa isa;
  // q: num_queries pointers to [head_dim] f32.
  void (*pack_queries)(DType dtype, int head_dim, float scale, const float* const* q, int num_queries,
                       PackedQueries* out);
  void (*segment)(const SegmentTask& task);
  // running = running folded with the next segment; a fresh running state has max = -infinity, sum = 0, acc = 0.
  void (*fold)(const SegmentResult& segment, int num_queries, int head_dim, const SegmentResult& running);
  // out = sigmoid(gate) * acc / (sum + exp(sink - max)); the gate is 1 and the sink -infinity where there is none.
  void (*finish)(const FinishTask& task);
};

// The kernels of an ISA that IsaAvailable accepts.
const AttentionKernels& GetAttentionKernels(Isa isa);

// AttentionCpu with given kernels.
void RunAttention(const AttentionKernels& kernels, OpContext* context, const AttentionArgs& args);

}  // namespace millrace::kernels
