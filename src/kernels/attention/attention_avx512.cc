#include "kernels/attention/attention_body.h"

namespace millrace::kernels {

extern const AttentionKernels kAttentionAvx512;
const AttentionKernels kAttentionAvx512 = {Isa::kAvx512, PackQueries, Segment, Fold, Finish};

}  // namespace millrace::kernels
