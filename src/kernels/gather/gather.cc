#include "kernels/gather/gather.h"

#include <cstring>

namespace millrace::kernels {

void GatherRowsCpu(OpContext* context, const GatherRowsArgs* args) {
  const size_t row_bytes = static_cast<size_t>(args->cols) * sizeof(float);
  context->pool->ParallelFor(args->num_rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      std::memcpy(args->out + r * args->cols, args->x + args->rows[r] * args->cols, row_bytes);
    }
  });
}

}  // namespace millrace::kernels
