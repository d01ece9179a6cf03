#include "kernels/attention/tree_tail.h"

#include <cstring>

namespace millrace::kernels {
namespace {

// Copies K, V and scales of one token and head between lanes of two blocks.
void CopyToken(const KvLayout& layout, const std::byte* from, int from_lane, std::byte* to, int to_lane) {
  for (int d = 0; d < layout.head_dim; ++d) {
    std::memcpy(to + layout.KOffset(to_lane, d), from + layout.KOffset(from_lane, d), layout.elem_bytes);
    std::memcpy(to + layout.VOffset(to_lane, d), from + layout.VOffset(from_lane, d), layout.elem_bytes);
  }
  if (layout.k_scales == 0) return;
  std::memcpy(to + layout.k_scales + to_lane * 4, from + layout.k_scales + from_lane * 4, 4);
  std::memcpy(to + layout.v_scales + to_lane * 4, from + layout.v_scales + from_lane * 4, 4);
}

}  // namespace

int TreeDepth(const AttentionBatch& batch, int row, int j) {
  const int32_t* parent = batch.parent + batch.query_start[row];
  int depth = 0;
  for (; parent[j] >= 0; j = parent[j]) {
    CHECK(parent[j] < j, "parent {} of tree token {}", parent[j], j);
    ++depth;
  }
  return depth;
}

void TreeTail::Build(const KvCacheView& kv, const KvLayout& layout, const AttentionBatch& batch, int row, int kv_head,
                     int token) {
  const int32_t* table = batch.block_ids + batch.table_start[row];
  const int32_t* parent = batch.parent + batch.query_start[row];
  const int context = batch.context_len[row];
  const int first_slot = context / kKvBlockSlots * kKvBlockSlots;
  int j = token - batch.query_start[row];
  const int depth = TreeDepth(batch, row, j);
  CHECK_LT(depth, kMaxTreeDepth);
  const auto copy = [&](int source_slot, int slot) {
    const std::byte* from = KvHeadPart(kv, layout, table[source_slot / kKvBlockSlots], kv_head);
    std::byte* to = bytes_ + (slot - first_slot) / kKvBlockSlots * layout.head_bytes;
    CopyToken(layout, from, source_slot % kKvBlockSlots, to, slot % kKvBlockSlots);
  };
  for (int slot = first_slot; slot < context; ++slot) copy(slot, slot);
  for (int slot = context + depth; slot >= context; --slot, j = parent[j]) copy(context + j, slot);
}

}  // namespace millrace::kernels
