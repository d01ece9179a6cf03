#include "cuda/products.h"

#include "cuda/norm_params.h"
#include "cuda/rows.h"

namespace millrace::cuda {

using namespace kernels;  // NOLINT: the arguments of every function here

const uint16_t* PrepareInput(OpContext* context, const PackedMatrix& matrix, const float* x, int64_t x_stride,
                             int64_t num_tokens, const Norm& norm) {
  PrepareRowsParams params;
  params.x = x;
  params.x_stride = x_stride;
  params.num_tokens = static_cast<int>(num_tokens);
  params.k = matrix.num_cols;
  params.padded_k = static_cast<int>(matrix.padded_k());
  params.norm = ToNorm(norm);
  params.y = context->workspace->Take<uint16_t>(num_tokens * matrix.padded_k());
  LaunchPrepareRows(params, context->stream);
  return params.y;
}

LinearParams ProductOf(const PackedMatrix& matrix, const uint16_t* x, int64_t num_tokens) {
  LinearParams params;
  params.x = x;
  params.weights = matrix.weights.data();
  params.scales = matrix.scales.as<uint32_t>();
  params.bias = matrix.bias.as<float>();
  params.num_tokens = static_cast<int>(num_tokens);
  params.num_rows = matrix.num_outputs;
  params.padded_rows = matrix.padded_rows;
  params.num_steps = matrix.num_steps;
  params.num_splits = matrix.num_splits;
  params.gated = matrix.gated;
  return params;
}

void LinearOp(OpContext* context, const LinearArgs* args) {
  if (args->num_tokens == 0) return;
  const PackedMatrix& matrix = Matrix(args->matrix);
  CHECK(!matrix.gated, "a gated pair goes to mlp_up");
  Workspace::Scope scope(*context->workspace);
  const uint16_t* x = PrepareInput(context, matrix, args->x, args->x_stride, args->num_tokens, args->pre_norm);
  LinearParams params = ProductOf(matrix, x, args->num_tokens);
  const bool normed = args->post_norm.kind != NormKind::kNone;
  params.out = normed ? context->workspace->Take<float>(args->num_tokens * matrix.num_rows) : args->out;
  params.out_stride = normed ? matrix.num_rows : args->out_stride;
  if (!normed) {
    params.scale = args->scale;
    params.softcap = args->softcap;
    params.accumulate = args->accumulate;
  }
  LaunchLinear(matrix.format, params, context->stream);
  if (!normed) return;
  AddNormedRowsParams add;
  add.x = params.out;
  add.num_tokens = params.num_tokens;
  add.n = matrix.num_rows;
  add.norm = ToNorm(args->post_norm);
  add.scale = args->scale;
  add.softcap = args->softcap;
  add.accumulate = args->accumulate;
  add.out = args->out;
  add.out_stride = args->out_stride;
  LaunchAddNormedRows(add, context->stream);
}

void MlpUpOp(OpContext* context, const MlpUpArgs* args) {
  if (args->num_tokens == 0) return;
  const PackedMatrix& matrix = Matrix(args->matrix);
  CHECK_EQ(matrix.gated, args->gated);
  Workspace::Scope scope(*context->workspace);
  const uint16_t* x = PrepareInput(context, matrix, args->x, args->x_stride, args->num_tokens, args->pre_norm);
  LinearParams params = ProductOf(matrix, x, args->num_tokens);
  params.activation = static_cast<Activation>(args->activation);
  params.swiglu_limit = args->swiglu_limit;
  params.out = args->out;
  params.out_stride = args->out_stride;
  LaunchLinear(matrix.format, params, context->stream);
}

}  // namespace millrace::cuda
