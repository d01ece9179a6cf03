#include "kernels/attention/attention_body.h"

namespace millrace::kernels {

extern const AttentionKernels kAttentionGeneric;
const AttentionKernels kAttentionGeneric = {Isa::kGeneric, PackQueries, Segment, Fold, Finish};

}  // namespace millrace::kernels
