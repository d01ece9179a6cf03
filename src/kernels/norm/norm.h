// Row normalisation in f32.
//
//   kRms:   y = x * rsqrt(mean(x^2) + eps) * weight            (Zhang & Sennrich 2019)
//   kLayer: y = (x - mean(x)) * rsqrt(var(x) + eps) * weight + bias   (Ba et al. 2016)
//   kNone:  y = x
// weight and bias may be null (1 and 0). Sums run in a fixed order that depends on n alone.
#pragma once

#include <cstdint>

#include "kernels/op_table.h"

namespace millrace::kernels {

// y [n] = norm of x [n]; y may be x. weight_offset selects the slice of norm.weight and norm.bias that belongs to x.
void NormRow(const Norm& norm, int64_t weight_offset, const float* x, int64_t n, float* y);

}  // namespace millrace::kernels
