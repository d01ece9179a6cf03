// A token of a draft tree sees the context and its ancestors. TreeTail copies the blocks from the end of the context
// on, with the ancestors in the slots that they would have if the token's path were the whole sequence, so that
// attention over a tree runs the same code on the same lanes as attention over that sequence, and gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/attention/kv_layout.h"
#include "kernels/op_table.h"

namespace millrace::kernels {

inline constexpr int kMaxTreeDepth = 32;  // new tokens on one path of a tree, its leaf included

// Ancestors of new token j of a row among the row's new tokens. parent[j] < j.
int TreeDepth(const AttentionBatch& batch, int row, int j);

class TreeTail {
 public:
  // Copies kv head `kv_head` of the path that ends in `token` (an index into the step). The path has at most
  // kMaxTreeDepth tokens.
  void Build(const KvCacheView& kv, const KvLayout& layout, const AttentionBatch& batch, int row, int kv_head,
             int token);

  // Block number context_len / 16 + index of the path's sequence.
  const std::byte* Part(const KvLayout& layout, int index) const { return bytes_ + index * layout.head_bytes; }

 private:
  static constexpr int kMaxBlocks = (kKvBlockSlots - 1 + kMaxTreeDepth + kKvBlockSlots - 1) / kKvBlockSlots;
  static constexpr int kMaxHeadBytes = 2 * kKvBlockSlots * kMaxHeadDim * 4;

  alignas(64) std::byte bytes_[kMaxBlocks * kMaxHeadBytes];
};

}  // namespace millrace::kernels
