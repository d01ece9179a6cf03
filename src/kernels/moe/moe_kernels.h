// The list of kernels that add expert outputs. Internal to this folder and its tests.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace millrace::kernels {

// x[i] += scale * (sum over j ascending of weights[j] * y[j][i]), i < n.
struct CombineTask {
  int num_outputs = 0;
  const float* weights = nullptr;   // [num_outputs]
  const float* const* y = nullptr;  // [num_outputs] rows [n]
  float scale = 1.0f;
  int64_t n = 0;
  float* x = nullptr;  // [n]
};
using CombineKernel = void(const CombineTask& task);

#define X(isa, function) CombineKernel function;
#include "kernels/moe/moe_kernels.inc"
#undef X

// The kernel of an ISA that IsaAvailable accepts.
CombineKernel* GetCombineKernel(Isa isa);

}  // namespace millrace::kernels
