// Weights of one product in GPU memory: packed on the host in pieces, copied once.
#pragma once

#include <memory>

#include "cuda/linear.h"
#include "kernels/op_table.h"
#include "tensor/buffer.h"

namespace millrace::cuda {

struct PackedMatrix {
  WeightFormat format = WeightFormat::kBf16;
  int num_rows = 0;     // stored: both halves of a gated pair
  int num_cols = 0;     // K
  int num_outputs = 0;  // half of num_rows when gated
  int padded_rows = 0;
  int num_steps = 0;
  int num_splits = 1;
  bool gated = false;
  Buffer weights, scales, bias;  // on the device; scales and bias may be empty

  int64_t padded_k() const { return int64_t{num_steps} * StepElems(format); }
};

// Q4_0 alone and Q4_K alone stay at 4 bits; Q4_0, Q5_0, Q8_0 and IQ4_NL become int8 with the file's scales: all
// exactly. Other mixes of Q4_K, Q5_K and Q6_K become int8 with the file's scales, rounded to bf16 when multiplied;
// every other type becomes bf16.
WeightFormat FormatFor(const kernels::WeightRows* parts, int num_parts);

// OpTable::pack_matrix and its relatives; the opaque kernels::PackedMatrix is the struct above.
kernels::PackedMatrix* PackMatrix(kernels::OpContext* context, const kernels::WeightRows* parts, int num_parts,
                                  const float* bias, bool gated, kernels::ErrorText* error);
void FreeMatrix(kernels::PackedMatrix* matrix);
int64_t PackedBytes(const kernels::PackedMatrix* matrix);

inline const PackedMatrix& Matrix(const kernels::PackedMatrix* matrix) {
  return *reinterpret_cast<const PackedMatrix*>(matrix);
}

}  // namespace millrace::cuda
