#include "kernels/attention/attention_plan.h"

#include <algorithm>
#include <limits>

#include "base/checked_math.h"

namespace millrace::kernels {
namespace {

// Pieces of work per thread, so that threads finish together.
constexpr int64_t kUnitsPerThread = 4;

int TileQueries(int head_dim) {
  return std::min(kMaxTileQueries, kMaxTileFloats / PaddedHeadDim(head_dim) / 4 * 4);
}

bool IsTree(const AttentionBatch& batch, int row) {
  if (batch.parent == nullptr) return false;
  for (int t = batch.query_start[row]; t < batch.query_start[row + 1]; ++t) {
    if (batch.parent[t] != t - batch.query_start[row] - 1) return true;
  }
  return false;
}

// Work of one segment of a tile: reading K and V counts as much as four queries.
int64_t SegmentCost(const RowPlan& row) {
  return row.tile_queries + 4;
}

void PlanShapes(AttentionPlan& plan) {
  const AttentionArgs& args = *plan.args;
  for (int r = 0; r < args.batch->num_rows; ++r) {
    RowPlan& row = plan.rows[r];
    const int num_new = plan.NumNew(r);
    const int context = args.batch->context_len[r];
    row.tree = IsTree(*args.batch, r);
    const int queries = row.tree ? plan.heads_per_kv : num_new * plan.heads_per_kv;
    row.tile_queries = std::max(1, std::min(TileQueries(args.kv.head_dim), queries));
    row.num_tiles = CeilDiv(queries, row.tile_queries) * (row.tree ? num_new : 1);
    const int first_slot = args.window > 0 ? std::max(0, context - args.window + 1) : 0;
    row.first_segment = first_slot / kSegmentSlots;
    row.num_segments = CeilDiv(context + num_new, kSegmentSlots) - row.first_segment;
    const int table_blocks = args.batch->table_start[r + 1] - args.batch->table_start[r];
    CHECK(num_new == 0 || table_blocks >= CeilDiv(context + num_new, kKvBlockSlots),
          "row {} has {} blocks for {} slots", r, table_blocks, context + num_new);
  }
}

// Cuts rows into chunks of segments when there are too few units for the threads. target: cost of a unit to aim at.
void PlanUnits(AttentionPlan& plan, int64_t target) {
  const int kv_heads = plan.args->kv.num_kv_heads;
  plan.num_units = 0;
  plan.num_partial_floats = 0;
  for (int r = 0; r < plan.args->batch->num_rows; ++r) {
    RowPlan& row = plan.rows[r];
    const int64_t segments = std::clamp<int64_t>(target / SegmentCost(row), 1, std::max(1, row.num_segments));
    row.chunk_segments = static_cast<int>(segments);
    row.num_chunks = plan.NumNew(r) == 0 ? 0 : CeilDiv(row.num_segments, row.chunk_segments);
    row.first_unit = plan.num_units;
    plan.num_units += static_cast<int64_t>(kv_heads) * row.num_tiles * row.num_chunks;
    row.partial = plan.num_partial_floats;
    if (row.num_chunks > 1) {
      plan.num_partial_floats +=
          static_cast<int64_t>(kv_heads) * row.num_tiles * row.num_segments * plan.RecordFloats(row);
    }
  }
}

int RowOfUnit(const AttentionPlan& plan, int64_t unit) {
  const RowPlan* begin = plan.rows;
  const RowPlan* end = begin + plan.args->batch->num_rows;
  const RowPlan* after =
      std::upper_bound(begin, end, unit, [](int64_t u, const RowPlan& row) { return u < row.first_unit; });
  return static_cast<int>(after - begin) - 1;
}

}  // namespace

void MakePlan(AttentionPlan& plan, int num_threads) {
  PlanShapes(plan);
  int64_t total = 0;
  for (int r = 0; r < plan.args->batch->num_rows; ++r) {
    const RowPlan& row = plan.rows[r];
    total += static_cast<int64_t>(plan.args->kv.num_kv_heads) * row.num_tiles * row.num_segments * SegmentCost(row);
  }
  constexpr int64_t kWhole = std::numeric_limits<int64_t>::max();
  PlanUnits(plan, num_threads == 1 ? kWhole : total / (num_threads * kUnitsPerThread));
  if (plan.num_partial_floats > kMaxPartialFloats) PlanUnits(plan, kWhole);
}

UnitPlace PlaceOf(const AttentionPlan& plan, int64_t unit) {
  const int r = RowOfUnit(plan, unit);
  const RowPlan& row = plan.rows[r];
  const int kv_heads = plan.args->kv.num_kv_heads;
  const int64_t index = unit - row.first_unit;
  return {r, static_cast<int>(index / row.num_chunks % kv_heads),
          row.num_tiles - 1 - static_cast<int>(index / row.num_chunks / kv_heads),
          static_cast<int>(index % row.num_chunks)};
}

}  // namespace millrace::kernels
