// Matrix products of the CPU: y = W x for every stored weight type, with what surrounds a product in a layer fused in.
//
// Activations are encoded once per row and call: int8 with an f32 scale per 32 values for quantised weights (per 256
// where their own blocks are of 256), bf16 or f32 for plain ones. Output bits of a token depend on that token, the
// weights and the ISA alone: not on num_tokens, nor on the pool's size. A row with an infinity or NaN gives NaN in
// every output of a quantised product.
#pragma once

#include "kernels/isa.h"
#include "kernels/op_table.h"

namespace millrace::kernels {

// Parts may differ in type (Q, K, V of a mixed file) but not in cols. Packs in parallel when the context has a pool;
// needs one panel (32 rows) of extra memory per thread, and that only for parts that are gathered. Null with `error`
// filled when a part is no weight type, its columns are not whole blocks, shapes disagree, memory is short, or more
// than three activation encodings would be needed.
PackedMatrix* PackMatrixCpu(Isa isa, OpContext* context, const WeightRows* parts, int num_parts, const float* bias,
                            bool gated, ErrorText* error);
void FreeMatrixCpu(PackedMatrix* matrix);
int64_t PackedBytesCpu(const PackedMatrix* matrix);
int64_t PackedRows(const PackedMatrix* matrix);  // N
int64_t PackedCols(const PackedMatrix* matrix);  // K

// Workspace that one LinearCpu or MlpUpCpu call takes at most, for the largest shapes of the query.
int64_t LinearWorkspaceBytes(const WorkspaceQuery* query);

// Formulas in op_table.h. Called by the thread that owns the pool. x and out may overlap: x is encoded before anything
// is stored.
void LinearCpu(OpContext* context, const LinearArgs* args);
void MlpUpCpu(OpContext* context, const MlpUpArgs* args);

// Products of several matrices with rows of one x in a single parallel region, for experts: element i is
// LinearCpu(args[i]) or MlpUpCpu(args[i]) without softcap and post_norm, on rows x_rows[i][t] instead of t (x_rows, or
// an element of it, may be null). All matrices have the same cols. Bits as from the single calls.
void LinearGroupCpu(OpContext* context, const LinearArgs* args, const int32_t* const* x_rows, int num_products);
void MlpUpGroupCpu(OpContext* context, const MlpUpArgs* args, const int32_t* const* x_rows, int num_products);

// Workspace that a group takes at most, for products with num_rows rows of `cols` values altogether.
int64_t LinearGroupWorkspaceBytes(int64_t num_rows, int64_t cols, int num_products);

// The same products in double on dequantised weights, nothing quantised; the judge of every kernel.
// out = scale * post_norm(W pre_norm(x) + bias) (+ out); matrix of `args` is ignored.
void LinearRef(const WeightRows* parts, int num_parts, const float* bias, const LinearArgs* args);
void MlpUpRef(const WeightRows* parts, int num_parts, const float* bias, const MlpUpArgs* args);

}  // namespace millrace::kernels
