#include "kernels/attention/attention.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "base/checked_math.h"
#include "kernels/attention/attention_plan.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/attention/tree_tail.h"

namespace millrace::kernels {

#define X(isa, table) extern const AttentionKernels table;
#include "kernels/attention/attention_kernels.inc"
#undef X

namespace {

// The queries of one tile and what they see; made anew by every unit.
struct Tile {
  int num_queries = 0;
  int token[kMaxTileQueries];  // index into the step
  int head[kMaxTileQueries];
  int32_t lo[kMaxTileQueries];  // visible slots [lo, hi) of the sequence
  int32_t hi[kMaxTileQueries];
};

// A tree token has the slots that it would have if its path were the whole sequence.
void FillTile(const AttentionPlan& plan, int r, int kv_head, int tile_index, Tile& tile) {
  const RowPlan& row = plan.rows[r];
  const AttentionBatch& batch = *plan.args->batch;
  const int tiles_per_token = row.num_tiles / std::max(1, plan.NumNew(r));
  const int first_token = row.tree ? tile_index / tiles_per_token : 0;
  const int first = (row.tree ? tile_index % tiles_per_token : tile_index) * row.tile_queries;
  const int total = row.tree ? plan.heads_per_kv : plan.NumNew(r) * plan.heads_per_kv;
  tile.num_queries = std::min(row.tile_queries, total - first);
  for (int m = 0; m < tile.num_queries; ++m) {
    const int j = first_token + (first + m) / plan.heads_per_kv;
    const int slot = batch.context_len[r] + (row.tree ? TreeDepth(batch, r, j) : j);
    tile.token[m] = batch.query_start[r] + j;
    tile.head[m] = kv_head * plan.heads_per_kv + (first + m) % plan.heads_per_kv;
    tile.lo[m] = plan.args->window > 0 ? std::max(0, slot - plan.args->window + 1) : 0;
    tile.hi[m] = slot + 1;
  }
}

struct UnitScratch {
  Tile tile;
  PackedQueries queries;
  TreeTail tail;
  float max[2][kMaxTileQueries];
  float sum[2][kMaxTileQueries];
  alignas(64) float acc[2][kMaxTileFloats];

  SegmentResult Result(int i) { return {max[i], sum[i], acc[i]}; }
};

void PackTile(const AttentionPlan& plan, UnitScratch& scratch) {
  const float* q[kMaxTileQueries];
  for (int m = 0; m < scratch.tile.num_queries; ++m) {
    q[m] = plan.args->q + scratch.tile.token[m] * plan.args->q_stride + scratch.tile.head[m] * plan.args->kv.head_dim;
  }
  plan.kernels->pack_queries(plan.args->kv.dtype, plan.args->kv.head_dim, plan.args->scale, q, scratch.tile.num_queries,
                             &scratch.queries);
}

// Visible slots of the tile in one segment, counted from its start; returns whether there are any.
bool VisibleInSegment(const Tile& tile, int segment, int32_t* lo, int32_t* hi, int* first, int* last) {
  const int base = segment * kSegmentSlots;
  *first = kSegmentSlots;
  *last = 0;
  for (int m = 0; m < tile.num_queries; ++m) {
    lo[m] = std::clamp(tile.lo[m] - base, 0, kSegmentSlots);
    hi[m] = std::clamp(tile.hi[m] - base, 0, kSegmentSlots);
    if (lo[m] >= hi[m]) continue;
    *first = std::min(*first, lo[m]);
    *last = std::max(*last, hi[m]);
  }
  return *first < *last;
}

// Parts of the blocks that hold slots [first, last) of a segment.
void FindParts(const AttentionPlan& plan, int r, int kv_head, int segment, const TreeTail& tail, int first, int last,
               const std::byte** parts) {
  const AttentionArgs& args = *plan.args;
  const int32_t* table = args.batch->block_ids + args.batch->table_start[r];
  for (int b = first / kKvBlockSlots; b * kKvBlockSlots < last; ++b) {
    const int block = segment * kSegmentBlocks + b;
    if (plan.rows[r].tree && block >= args.batch->context_len[r] / kKvBlockSlots) {
      parts[b] = tail.Part(plan.layout, block - args.batch->context_len[r] / kKvBlockSlots);
      continue;
    }
    CHECK(table[block] >= 0, "block {} of row {} was freed but is visible", block, r);
    parts[b] = KvHeadPart(args.kv, plan.layout, table[block], kv_head);
  }
}

// Parts that `unit` probably reads first, for prefetching.
void GuessParts(const AttentionPlan& plan, int64_t unit, const std::byte** parts) {
  const UnitPlace place = PlaceOf(plan, unit);
  const AttentionBatch& batch = *plan.args->batch;
  const RowPlan& row = plan.rows[place.row];
  const int32_t* table = batch.block_ids + batch.table_start[place.row];
  const int num_blocks = batch.table_start[place.row + 1] - batch.table_start[place.row];
  const int first = (row.first_segment + place.chunk * row.chunk_segments) * kSegmentBlocks;
  for (int b = 0; b < kSegmentBlocks && first + b < num_blocks; ++b) {
    if (table[first + b] >= 0) parts[b] = KvHeadPart(plan.args->kv, plan.layout, table[first + b], place.kv_head);
  }
}

// What a thread does after a segment: the next segment of the tile, the first of another unit, or nothing known (-1).
struct Following {
  bool segment;
  int64_t unit;
  bool cold;  // nothing came before
};

void RunSegment(const AttentionPlan& plan, int r, int kv_head, int segment, Following following, UnitScratch& scratch,
                const SegmentResult& result) {
  int32_t lo[kMaxTileQueries];
  int32_t hi[kMaxTileQueries];
  int first;
  int last;
  SegmentTask task;
  if (following.segment && VisibleInSegment(scratch.tile, segment + 1, lo, hi, &first, &last)) {
    FindParts(plan, r, kv_head, segment + 1, scratch.tail, first, last, task.next_parts);
  } else if (following.unit >= 0) {
    GuessParts(plan, following.unit, task.next_parts);
  }
  VisibleInSegment(scratch.tile, segment, lo, hi, &first, &last);
  FindParts(plan, r, kv_head, segment, scratch.tail, first, last, task.parts);
  task.dtype = plan.args->kv.dtype;
  task.layout = &plan.layout;
  task.cold = following.cold;
  task.num_queries = scratch.tile.num_queries;
  task.queries = &scratch.queries;
  task.softcap = plan.args->softcap;
  task.lo = lo;
  task.hi = hi;
  task.result = result;
  plan.kernels->segment(task);
}

void FinishTile(const AttentionPlan& plan, UnitScratch& scratch, const SegmentResult& running) {
  const AttentionArgs& args = *plan.args;
  const float* sinks[kMaxTileQueries];
  const float* gates[kMaxTileQueries];
  float* out[kMaxTileQueries];
  for (int m = 0; m < scratch.tile.num_queries; ++m) {
    const int64_t token = scratch.tile.token[m];
    const int64_t offset = static_cast<int64_t>(scratch.tile.head[m]) * args.kv.head_dim;
    if (args.sinks != nullptr) sinks[m] = args.sinks + scratch.tile.head[m];
    if (args.out_gate != nullptr) gates[m] = args.out_gate + token * args.out_gate_stride + offset;
    out[m] = args.out + token * args.out_stride + offset;
  }
  FinishTask task;
  task.running = running;
  task.num_queries = scratch.tile.num_queries;
  task.head_dim = args.kv.head_dim;
  task.sinks = args.sinks != nullptr ? sinks : nullptr;
  task.gates = args.out_gate != nullptr ? gates : nullptr;
  task.out = out;
  plan.kernels->finish(task);
}

void ResetRunning(const AttentionPlan& plan, UnitScratch& scratch) {
  const int n = scratch.tile.num_queries;
  std::fill_n(scratch.max[0], n, -std::numeric_limits<float>::infinity());
  std::fill_n(scratch.sum[0], n, 0.0f);
  std::memset(scratch.acc[0], 0, sizeof(float) * static_cast<size_t>(n) * plan.padded);
}

// next_unit: the one that this thread does next, or -1. first: it did none before.
void RunUnit(const AttentionPlan& plan, int64_t unit, int64_t next_unit, bool first) {
  UnitScratch scratch;
  const UnitPlace place = PlaceOf(plan, unit);
  const RowPlan& row = plan.rows[place.row];
  Tile& tile = scratch.tile;
  FillTile(plan, place.row, place.kv_head, place.tile, tile);
  PackTile(plan, scratch);
  if (row.tree)
    scratch.tail.Build(plan.args->kv, plan.layout, *plan.args->batch, place.row, place.kv_head, tile.token[0]);

  const int first_visible = *std::min_element(tile.lo, tile.lo + tile.num_queries) / kSegmentSlots;
  const int end_visible = CeilDiv(*std::max_element(tile.hi, tile.hi + tile.num_queries), kSegmentSlots);
  const int begin = row.first_segment + place.chunk * row.chunk_segments;
  const int end = std::min(begin + row.chunk_segments, row.first_segment + row.num_segments);
  if (row.num_chunks == 1) ResetRunning(plan, scratch);
  for (int segment = begin; segment < end; ++segment) {
    const bool visible = segment >= first_visible && segment < end_visible;
    const Following following{segment + 1 < end, next_unit, first && segment == std::max(begin, first_visible)};
    if (row.num_chunks > 1) {
      const SegmentResult partial = plan.Partial(row, place.kv_head, place.tile, segment);
      if (visible) {
        RunSegment(plan, place.row, place.kv_head, segment, following, scratch, partial);
      } else {
        std::fill_n(partial.max, tile.num_queries, -std::numeric_limits<float>::infinity());
      }
    } else if (visible) {
      RunSegment(plan, place.row, place.kv_head, segment, following, scratch, scratch.Result(1));
      plan.kernels->fold(scratch.Result(1), tile.num_queries, plan.args->kv.head_dim, scratch.Result(0));
    }
  }
  if (row.num_chunks == 1) FinishTile(plan, scratch, scratch.Result(0));
}

// A thread takes its next unit before it runs the present one, so that it can prefetch the next one's blocks.
void RunUnits(const AttentionPlan& plan, ThreadPool& pool) {
  std::atomic<int64_t> next{0};
  const auto run = [&](int) {
    int64_t unit = next.fetch_add(1, std::memory_order_relaxed);
    for (bool first = true; unit < plan.num_units; first = false) {
      const int64_t following = next.fetch_add(1, std::memory_order_relaxed);
      RunUnit(plan, unit, following < plan.num_units ? following : -1, first);
      unit = following;
    }
  };
  if (plan.num_units <= 1) return run(0);
  pool.RunOnReady(run);
}

// Folds the partial results of the tile that begins with `unit`, a first chunk of a split row.
void CombineUnit(const AttentionPlan& plan, int64_t unit) {
  const UnitPlace place = PlaceOf(plan, unit);
  const RowPlan& row = plan.rows[place.row];
  if (row.num_chunks == 1 || place.chunk != 0) return;
  UnitScratch scratch;
  FillTile(plan, place.row, place.kv_head, place.tile, scratch.tile);
  ResetRunning(plan, scratch);
  for (int i = 0; i < row.num_segments; ++i) {
    plan.kernels->fold(plan.Partial(row, place.kv_head, place.tile, row.first_segment + i), scratch.tile.num_queries,
                       plan.args->kv.head_dim, scratch.Result(0));
  }
  FinishTile(plan, scratch, scratch.Result(0));
}

}  // namespace

const AttentionKernels& GetAttentionKernels(Isa isa) {
#define X(listed, table) \
  if (isa == (listed)) return table;
#include "kernels/attention/attention_kernels.inc"
#undef X
  CHECK(false, "no attention kernels for {}", IsaName(isa));
}

int64_t AttentionWorkspaceBytes(const WorkspaceQuery& query) {
  const int64_t segments = CeilDiv<int64_t>(query.max_model_len, kSegmentSlots);
  const int64_t padded = PaddedHeadDim(query.head_dim);
  // A last tile that is not full still takes a whole record: at most twice the queries.
  const int64_t partial = 2 * query.max_tokens * query.num_heads * segments * (padded + 2);
  return RoundUp<int64_t>(query.max_rows * static_cast<int64_t>(sizeof(RowPlan)), 64) + 64 +
         static_cast<int64_t>(sizeof(float)) * std::min(partial, kMaxPartialFloats);
}

void RunAttention(const AttentionKernels& kernels, OpContext* context, const AttentionArgs& args) {
  CHECK(args.num_heads % args.kv.num_kv_heads == 0, "{} heads, {} kv heads", args.num_heads, args.kv.num_kv_heads);
  Workspace::Scope scope(*context->workspace);
  AttentionPlan plan;
  plan.kernels = &kernels;
  plan.args = &args;
  plan.layout = KvLayout::Make(args.kv.dtype, args.kv.head_dim);
  plan.heads_per_kv = args.num_heads / args.kv.num_kv_heads;
  plan.padded = PaddedHeadDim(args.kv.head_dim);
  plan.rows = context->workspace->Take<RowPlan>(args.batch->num_rows);
  MakePlan(plan, context->pool->num_threads());
  plan.partials = plan.num_partial_floats > 0 ? context->workspace->Take<float>(plan.num_partial_floats) : nullptr;
  RunUnits(plan, *context->pool);
  if (plan.num_partial_floats == 0) return;
  context->pool->ParallelFor(plan.num_units, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) CombineUnit(plan, unit);
  });
}

void AttentionCpu(OpContext* context, const AttentionArgs* args) {
  static const AttentionKernels& kernels = GetAttentionKernels(SelectIsa().value());
  RunAttention(kernels, context, *args);
}

}  // namespace millrace::kernels
