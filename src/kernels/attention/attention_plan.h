// How a step's attention is cut into units of work. Internal to kernels/attention.
#pragma once

#include <cstdint>

#include "kernels/attention/attention_tile.h"

namespace millrace::kernels {

// Partial results of split rows never take more than this; without room, rows are not split (the bits are the same).
inline constexpr int64_t kMaxPartialFloats = 8 << 20;

// How one row is cut. A unit is (kv head, tile of queries, chunk of segments). A tile holds queries (token, head of the
// group) in that order; in a tree a tile holds heads of one token. A row of one chunk folds its segments as they come,
// others leave them in `partial`.
struct RowPlan {
  int64_t first_unit;
  int64_t partial;  // floats from the start of the partials; [kv head, tile, segment] records
  int tree;         // the row's tokens are not one chain
  int num_tiles;
  int tile_queries;
  int first_segment;
  int num_segments;
  int chunk_segments;
  int num_chunks;
};

struct AttentionPlan {
  const AttentionKernels* kernels;
  const AttentionArgs* args;
  KvLayout layout;
  int heads_per_kv;
  int padded;
  RowPlan* rows;  // [num_rows]
  int64_t num_units;
  int64_t num_partial_floats;
  float* partials;

  int NumNew(int row) const { return args->batch->query_start[row + 1] - args->batch->query_start[row]; }
  int64_t RecordFloats(const RowPlan& row) const { return static_cast<int64_t>(row.tile_queries) * (padded + 2); }
  SegmentResult Partial(const RowPlan& row, int kv_head, int tile, int segment) const {
    const int64_t index =
        (static_cast<int64_t>(kv_head) * row.num_tiles + tile) * row.num_segments + segment - row.first_segment;
    float* record = partials + row.partial + index * RecordFloats(row);
    return {record + row.tile_queries * padded, record + row.tile_queries * (padded + 1), record};
  }
};

// The place of a unit inside its row. Later tiles see more and are taken first.
struct UnitPlace {
  int row;
  int kv_head;
  int tile;
  int chunk;
};

// Fills plan.rows and what follows it; kernels, args and layout are set.
void MakePlan(AttentionPlan& plan, int num_threads);

UnitPlace PlaceOf(const AttentionPlan& plan, int64_t unit);

}  // namespace millrace::kernels
