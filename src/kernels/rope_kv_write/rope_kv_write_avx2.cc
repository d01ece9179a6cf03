#include "kernels/rope_kv_write/rope_kv_write_body.h"

namespace millrace::kernels {

void RopeKvWriteAvx2(const RopeKvWriteArgs& args, const KvLayout& layout, int row, int begin, int end) {
  RopeKvWriteTokens(args, layout, row, begin, end);
}

}  // namespace millrace::kernels
