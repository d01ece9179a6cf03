#include "kernels/rope_kv_write/rope_kv_write.h"

#include <algorithm>

#include "kernels/rope_kv_write/rope_kv_write_kernels.h"

namespace millrace::kernels {

RopeKvWriteKernel* GetRopeKvWriteKernel(Isa isa) {
#define X(listed, function) \
  if (isa == (listed)) return function;
#include "kernels/rope_kv_write/rope_kv_write_kernels.inc"
#undef X
  CHECK(false, "no rope_kv_write kernel for {}", IsaName(isa));
}

void RunRopeKvWrite(RopeKvWriteKernel* kernel, OpContext* context, const RopeKvWriteArgs& args) {
  const AttentionBatch& batch = *args.batch;
  const KvLayout layout = KvLayout::Make(args.kv.dtype, args.kv.head_dim);
  CHECK(args.rotary_dim >= 0 && args.rotary_dim % 2 == 0 && args.rotary_dim <= args.kv.head_dim, "rotary_dim is {}",
        args.rotary_dim);
  // The first token of each block of a row does the whole block: V keeps neighbouring tokens in one word, which must
  // have one writer.
  context->pool->ParallelFor(batch.num_tokens, 1, [&](int64_t first, int64_t last) {
    for (int t = static_cast<int>(first); t < last; ++t) {
      const int32_t* starts = batch.query_start;
      const int row = static_cast<int>(std::upper_bound(starts, starts + batch.num_rows + 1, t) - starts) - 1;
      const int lane = (batch.context_len[row] + t - starts[row]) % kKvBlockSlots;
      if (t > starts[row] && lane > 0) continue;
      kernel(args, layout, row, t, std::min(starts[row + 1], t + kKvBlockSlots - lane));
    }
  });
}

void RopeKvWriteCpu(OpContext* context, const RopeKvWriteArgs* args) {
  static RopeKvWriteKernel* const kernel = GetRopeKvWriteKernel(SelectIsa().value());
  RunRopeKvWrite(kernel, context, *args);
}

}  // namespace millrace::kernels
