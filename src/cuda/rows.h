// Row-wise kernels: norms, embedding, gathering. All tensors f32 unless said; rows of x are x_stride values apart.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::cuda {

// Values as kernels::NormKind. RMS: x * rsqrt(mean(x^2) + eps) * weight; layer: (x - mean) * rsqrt(var + eps) * weight
// + bias.
enum class NormType : int { kNone, kRms, kLayer };

struct NormParams {
  NormType type = NormType::kNone;
  const float* weight = nullptr;  // [K]
  const float* bias = nullptr;    // [K] or null
  float eps = 0.0f;
};

// y[t, k] = bf16(norm(x[t])[k]) for k < K, 0 for K <= k < padded_k: the input of a product.
struct PrepareRowsParams {
  const float* x = nullptr;  // [T, K]
  int64_t x_stride = 0;
  int num_tokens = 0;
  int k = 0;
  int padded_k = 0;
  NormParams norm;
  uint16_t* y = nullptr;  // [T, padded_k]
};
void LaunchPrepareRows(const PrepareRowsParams& params, void* stream);

// out[t] (+)= softcapped(scale * norm(x[t])): the end of a product with a norm after it.
struct AddNormedRowsParams {
  const float* x = nullptr;  // [T, N]
  int num_tokens = 0;
  int n = 0;
  NormParams norm;
  float scale = 1.0f;
  float softcap = 0.0f;
  bool accumulate = false;
  float* out = nullptr;  // [T, N]
  int64_t out_stride = 0;
};
void LaunchAddNormedRows(const AddNormedRowsParams& params, void* stream);

// x[t] = norm(x[t]) in place over the first n values of rows that start at x + t * stride.
struct NormInPlaceParams {
  float* x = nullptr;
  int64_t stride = 0;
  int num_tokens = 0;
  int n = 0;
  NormParams norm;
};
void LaunchNormInPlace(const NormInPlaceParams& params, void* stream);

// Stored type of an embedding table on the device.
enum class TableType : int { kF32, kF16, kBf16 };

// x[t] = table[token_ids[t]] * scale (+ position_table[positions[t]]).
struct EmbedParams {
  const std::byte* table = nullptr;  // [vocab, hidden]
  TableType table_type = TableType::kF32;
  const std::byte* position_table = nullptr;  // [max positions, hidden] or null
  TableType position_type = TableType::kF32;
  const int32_t* token_ids = nullptr;  // [T], on the device
  const int32_t* positions = nullptr;
  int num_tokens = 0;
  int hidden = 0;
  float scale = 1.0f;
  float* x = nullptr;  // [T, hidden]
};
void LaunchEmbed(const EmbedParams& params, void* stream);

// out[r] = x[rows[r]], both [., cols].
struct GatherParams {
  const float* x = nullptr;
  const int32_t* rows = nullptr;  // [num_rows], on the device
  int num_rows = 0;
  int cols = 0;
  float* out = nullptr;
};
void LaunchGather(const GatherParams& params, void* stream);

}  // namespace millrace::cuda
