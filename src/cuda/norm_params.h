// Norms of the op table as kernels take them.
#pragma once

#include "cuda/rows.h"
#include "kernels/op_table.h"

namespace millrace::cuda {

inline NormParams ToNorm(const kernels::Norm& norm) {
  return {static_cast<NormType>(norm.kind), norm.weight, norm.bias, norm.eps};
}

}  // namespace millrace::cuda
