// The list of NormRow kernels. Internal to kernels, its tests and benchmarks.
#pragma once

#include "kernels/isa.h"
#include "kernels/norm/norm.h"

namespace millrace::kernels {

using NormRowKernel = void(const Norm& norm, int64_t weight_offset, const float* x, int64_t n, float* y);

#define X(isa, function) NormRowKernel function;
#include "kernels/norm/norm_kernels.inc"
#undef X

// The kernel of an ISA that IsaAvailable accepts.
NormRowKernel* GetNormRowKernel(Isa isa);

}  // namespace millrace::kernels
