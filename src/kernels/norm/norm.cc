#include "kernels/norm/norm.h"

#include "kernels/norm/norm_kernels.h"

namespace millrace::kernels {

NormRowKernel* GetNormRowKernel(Isa isa) {
#define X(listed, function) \
  if (isa == (listed)) return function;
#include "kernels/norm/norm_kernels.inc"
#undef X
  CHECK(false, "no norm kernel for {}", IsaName(isa));
}

void NormRow(const Norm& norm, int64_t weight_offset, const float* x, int64_t n, float* y) {
  static NormRowKernel* const kernel = GetNormRowKernel(SelectIsa().value());
  kernel(norm, weight_offset, x, n, y);
}

}  // namespace millrace::kernels
