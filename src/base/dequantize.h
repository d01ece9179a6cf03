// Scalar reference of every stored type: what the bits mean. Kernels are tested against it; no hot path calls it.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace millrace {

// dst[i] = value i of the row at src, i < n. n is a multiple of the type's block; src needs no alignment. Products and
// sums are rounded to f32 in the order of the formulas in base/quant_blocks.h, which is llama.cpp's: the bits agree.
void DequantizeRow(DType type, const void* src, float* dst, int64_t n);

// The inverse, for tests, synthetic weights and conversions. F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and MXFP4 give
// llama.cpp's bits; the K-quants, IQ4_NL and IQ4_XS take plain min/max scales instead of a search, so they are valid
// but not optimal. src is finite.
void QuantizeRow(DType type, const float* src, void* dst, int64_t n);

}  // namespace millrace
