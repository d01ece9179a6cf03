// Attention over a paged KV cache: prefill, chunks, decode and draft trees in one kernel family.
//
// For token t at slot s of its row and query head h, with kv head h / (num_heads / num_kv_heads):
//   score(c) = softcap(scale * q[t, h] . K[c]),  softcap(x) = cap * tanh(x / cap) when cap > 0
//   out[t, h] = sum_c exp(score(c) - m) V[c] / (sum_c exp(score(c) - m) + exp(sink[h] - m)),  m the maximum
// and, with a gate, out[t, h] *= sigmoid(out_gate[t, h]),
// over the visible slots c: c <= s and c > s - window. With a tree (batch->parent), token t sees the context and its
// ancestors, itself included; the window then counts positions instead of slots.
//
// Same bits whatever the batch, the chunking and the threads: KV is cut into segments of kSegmentSlots absolute
// positions, each reduced alone, and segments combine in ascending order (flash attention, Dao 2022, with fixed
// splits). A token of a tree reads its ancestors at the places they would have without the tree, so that a tree gives
// the bits of the plain sequence. Slots not yet written are never multiplied.
//
// q is rounded to bf16 for BF16 caches and to 15 bits per head for I8; p is rounded to bf16 for BF16 and to 15 bits of
// the largest weight of the segment for I8. F32, F16 and F8 caches compute in f32.
#pragma once

#include <cstdint>

#include "kernels/op_table.h"

namespace millrace::kernels {

inline constexpr int kSegmentSlots = 256;

// OpTable::attention. head_dim is a multiple of 8 up to kMaxHeadDim; num_heads a multiple of num_kv_heads.
void AttentionCpu(OpContext* context, const AttentionArgs* args);

// Workspace that AttentionCpu may take.
int64_t AttentionWorkspaceBytes(const WorkspaceQuery& query);

// The definition above in double precision, one score at a time; for tests.
void AttentionRef(const AttentionArgs& args);

}  // namespace millrace::kernels
