#include "cuda/launch.h"
#include "cuda/rows.h"

namespace millrace::cuda {
namespace {

constexpr int kThreads = 256;

// Sum over the block in a fixed order; every thread gets it. `scratch` has a float per warp.
__device__ __forceinline__ float BlockSum(float value, float* scratch) {
  const int thread = static_cast<int>(threadIdx.x);
  value = WarpSum(value);
  __syncthreads();
  if (thread % kWarp == 0) scratch[thread / kWarp] = value;
  __syncthreads();
  float total = 0.0f;
  for (int i = 0; i < kThreads / kWarp; ++i) total += scratch[i];
  return total;
}

// What maps a row's values to normed ones: (x - mean) * rate * weight + bias.
struct RowNorm {
  float mean = 0.0f, rate = 1.0f;
};

__device__ __forceinline__ RowNorm MeasureRow(const NormParams& norm, const float* x, int n) {
  RowNorm row;
  if (norm.type == NormType::kNone) return row;
  auto* scratch = reinterpret_cast<float*>(SharedMemory());
  const int thread = static_cast<int>(threadIdx.x);
  if (norm.type == NormType::kLayer) {
    float sum = 0.0f;
    for (int i = thread; i < n; i += kThreads) sum += x[i];
    row.mean = BlockSum(sum, scratch) / static_cast<float>(n);
  }
  float squares = 0.0f;
  for (int i = thread; i < n; i += kThreads) {
    const float centred = x[i] - row.mean;
    squares = fmaf(centred, centred, squares);
  }
  row.rate = 1.0f / sqrtf(BlockSum(squares, scratch) / static_cast<float>(n) + norm.eps);
  return row;
}

__device__ __forceinline__ float Normed(const NormParams& norm, const RowNorm& row, float x, int i) {
  if (norm.type == NormType::kNone) return x;
  const float y = (x - row.mean) * row.rate * norm.weight[i];
  return norm.bias != nullptr ? y + norm.bias[i] : y;
}

__global__ void __launch_bounds__(kThreads) PrepareRows(PrepareRowsParams p) {
  const int64_t token = blockIdx.x;
  const float* x = p.x + token * p.x_stride;
  const RowNorm row = MeasureRow(p.norm, x, p.k);
  auto* y = reinterpret_cast<uint32_t*>(p.y + token * p.padded_k);
  for (int i = 2 * static_cast<int>(threadIdx.x); i < p.padded_k; i += 2 * kThreads) {
    const float low = i < p.k ? Normed(p.norm, row, x[i], i) : 0.0f;
    const float high = i + 1 < p.k ? Normed(p.norm, row, x[i + 1], i + 1) : 0.0f;
    y[i / 2] = PackBf16(low, high);
  }
}

__global__ void __launch_bounds__(kThreads) AddNormedRows(AddNormedRowsParams p) {
  const int64_t token = blockIdx.x;
  const float* x = p.x + token * p.n;
  const RowNorm row = MeasureRow(p.norm, x, p.n);
  float* out = p.out + token * p.out_stride;
  for (int i = static_cast<int>(threadIdx.x); i < p.n; i += kThreads) {
    float value = p.scale * Normed(p.norm, row, x[i], i);
    if (p.softcap > 0.0f) value = p.softcap * tanhf(value / p.softcap);
    out[i] = p.accumulate ? out[i] + value : value;
  }
}

__global__ void __launch_bounds__(kThreads) NormInPlace(NormInPlaceParams p) {
  float* x = p.x + static_cast<int64_t>(blockIdx.x) * p.stride;
  const RowNorm row = MeasureRow(p.norm, x, p.n);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < p.n; i += kThreads) x[i] = Normed(p.norm, row, x[i], i);
}

__device__ __forceinline__ float TableValue(const std::byte* table, TableType type, int64_t index) {
  switch (type) {
    case TableType::kF32:
      return reinterpret_cast<const float*>(table)[index];
    case TableType::kF16:
      return F16ToFloat(reinterpret_cast<const uint16_t*>(table)[index]);
    case TableType::kBf16:
      return Bf16LowToFloat(reinterpret_cast<const uint16_t*>(table)[index]);
  }
  return 0.0f;
}

__global__ void __launch_bounds__(kThreads) Embed(EmbedParams p) {
  const int token = static_cast<int>(blockIdx.x);
  const int64_t from = static_cast<int64_t>(p.token_ids[token]) * p.hidden;
  float* x = p.x + static_cast<int64_t>(token) * p.hidden;
  for (int i = static_cast<int>(threadIdx.x); i < p.hidden; i += kThreads) {
    float value = TableValue(p.table, p.table_type, from + i) * p.scale;
    if (p.position_table != nullptr) {
      value += TableValue(p.position_table, p.position_type, static_cast<int64_t>(p.positions[token]) * p.hidden + i);
    }
    x[i] = value;
  }
}

__global__ void __launch_bounds__(kThreads) Gather(GatherParams p) {
  const int64_t row = blockIdx.x;
  const float* from = p.x + static_cast<int64_t>(p.rows[row]) * p.cols;
  for (int i = static_cast<int>(threadIdx.x); i < p.cols; i += kThreads) p.out[row * p.cols + i] = from[i];
}

LaunchShape RowPerBlock(int rows, void* stream) {
  return {{static_cast<unsigned>(rows), 1, 1}, kThreads, kThreads / kWarp * sizeof(float), stream};
}

}  // namespace

void LaunchPrepareRows(const PrepareRowsParams& p, void* stream) {
  Launch<PrepareRows>(RowPerBlock(p.num_tokens, stream), p);
}
void LaunchAddNormedRows(const AddNormedRowsParams& p, void* stream) {
  Launch<AddNormedRows>(RowPerBlock(p.num_tokens, stream), p);
}
void LaunchNormInPlace(const NormInPlaceParams& p, void* stream) {
  Launch<NormInPlace>(RowPerBlock(p.num_tokens, stream), p);
}
void LaunchEmbed(const EmbedParams& p, void* stream) {
  Launch<Embed>(RowPerBlock(p.num_tokens, stream), p);
}
void LaunchGather(const GatherParams& p, void* stream) {
  Launch<Gather>(RowPerBlock(p.num_rows, stream), p);
}

}  // namespace millrace::cuda
