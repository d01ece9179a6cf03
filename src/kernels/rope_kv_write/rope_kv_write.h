// OpTable::rope_kv_write: for every token of the step, normalise its q and k heads (optional), rotate them, and write k
// and v to the slot of the token in the paged cache.
//
// Order: norm, then rope, as transformers does. With rotation angle a of pair i and its elements (x, y):
//   x' = x cos a - y sin a,  y' = y cos a + x sin a;  pairs (i, i + rotary_dim / 2) or (2i, 2i + 1); dims from
//   rotary_dim on stay.
// q and k change in place, in f32; the cache gets them rounded to its type: to nearest even, F16 saturating at +-65504,
// I8 as kv_layout.h says. Token j of row r has slot context_len[r] + j. A slot whose table entry is negative (a freed
// window block) is not written.
#pragma once

#include "kernels/op_table.h"

namespace millrace::kernels {

void RopeKvWriteCpu(OpContext* context, const RopeKvWriteArgs* args);

}  // namespace millrace::kernels
