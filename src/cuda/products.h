// Products of the op table, for the files that build on them.
#pragma once

#include "cuda/linear.h"
#include "cuda/packed_matrix.h"

namespace millrace::cuda {

void LinearOp(kernels::OpContext* context, const kernels::LinearArgs* args);
void MlpUpOp(kernels::OpContext* context, const kernels::MlpUpArgs* args);

// x normed and rounded to bf16 in the workspace, zero-padded to whole steps of the matrix.
const uint16_t* PrepareInput(kernels::OpContext* context, const PackedMatrix& matrix, const float* x, int64_t x_stride,
                             int64_t num_tokens, const kernels::Norm& norm);

// What a product with this matrix reads; where it goes and what is done to it is the caller's.
LinearParams ProductOf(const PackedMatrix& matrix, const uint16_t* x, int64_t num_tokens);

}  // namespace millrace::cuda
