#include "kernels/attention/attention_body.h"

namespace millrace::kernels {

extern const AttentionKernels kAttentionAvx2;
const AttentionKernels kAttentionAvx2 = {Isa::kAvx2, PackQueries, Segment, Fold, Finish};

}  // namespace millrace::kernels
