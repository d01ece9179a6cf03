#include "kernels/norm/norm_body.h"
#include "kernels/norm/norm_kernels.h"

namespace millrace::kernels {

void NormRowAvx512(const Norm& norm, int64_t weight_offset, const float* x, int64_t n, float* y) {
  NormRowBody(norm, weight_offset, x, n, y);
}

}  // namespace millrace::kernels
