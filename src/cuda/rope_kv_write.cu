// A warp per head of a token: lane l has the rope pairs l, l + 32, ... so that a pair meets in one thread.
#include "cuda/launch.h"
#include "cuda/paged_kv.cuh"
#include "cuda/rope_kv_write.h"

namespace millrace::cuda {
namespace {

constexpr int kWarps = 8;

// The row of the step that brings `token`: the last whose query_start is not above it.
__device__ __forceinline__ int RowOfToken(const PagedKv& kv, int token) {
  int low = 0, high = kv.num_rows - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (kv.query_start[middle] <= token) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

__device__ __forceinline__ void NormHead(const NormParams& norm, float* x, int n) {
  const int lane = LaneIndex();
  float mean = 0.0f;
  if (norm.type == NormType::kLayer) {
    float sum = 0.0f;
    for (int i = lane; i < n; i += kWarp) sum += x[i];
    mean = WarpSum(sum) / static_cast<float>(n);
  }
  float squares = 0.0f;
  for (int i = lane; i < n; i += kWarp) {
    const float centred = x[i] - mean;
    squares = fmaf(centred, centred, squares);
  }
  const float rate = 1.0f / sqrtf(WarpSum(squares) / static_cast<float>(n) + norm.eps);
  for (int i = lane; i < n; i += kWarp) {
    const float y = (x[i] - mean) * rate * norm.weight[i];
    x[i] = norm.bias != nullptr ? y + norm.bias[i] : y;
  }
  __syncwarp();
}

__global__ void __launch_bounds__(kWarps* kWarp) RopeKvWrite(RopeKvWriteParams p) {
  const int token = static_cast<int>(blockIdx.x), lane = LaneIndex();
  const int head = static_cast<int>(blockIdx.y) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  const int num_kv_heads = p.kv.num_kv_heads, dim = p.kv.head_dim;
  if (head >= p.num_heads + 2 * num_kv_heads) return;
  float* x = p.qkv + token * p.stride + static_cast<int64_t>(head) * dim;
  const bool is_query = head < p.num_heads, is_value = head >= p.num_heads + num_kv_heads;
  if (!is_value) {
    const NormParams& norm = is_query ? p.q_norm : p.k_norm;
    if (norm.type != NormType::kNone) NormHead(norm, x, dim);
    const int pairs = p.cos_sin != nullptr ? p.rotary_dim / 2 : 0;
    for (int i = lane; i < pairs; i += kWarp) {
      float& a = x[p.interleaved ? 2 * i : i];
      float& b = x[p.interleaved ? 2 * i + 1 : i + pairs];
      const float cosine = p.cos_sin[(static_cast<int64_t>(token) * pairs + i) * 2];
      const float sine = p.cos_sin[(static_cast<int64_t>(token) * pairs + i) * 2 + 1];
      const float rotated = fmaf(a, cosine, -(b * sine));
      b = fmaf(b, cosine, a * sine);
      a = rotated;
    }
    __syncwarp();
  }
  if (is_query) return;
  const int row = RowOfToken(p.kv, token);
  const int slot = p.kv.context_len[row] + token - p.kv.query_start[row];
  const int32_t block = p.kv.block_ids[p.kv.table_start[row] + slot / kBlockSlots];
  if (block < 0) return;
  const int kv_head = head - p.num_heads - (is_value ? num_kv_heads : 0);
  uint16_t* cached = KeyAddress(p.kv, block, kv_head, slot) + (is_value ? kBlockSlots * dim : 0);
  auto* pairs = reinterpret_cast<uint32_t*>(cached);
  for (int i = lane; i < dim / 2; i += kWarp) pairs[i] = PackBf16(x[2 * i], x[2 * i + 1]);
}

}  // namespace

void LaunchRopeKvWrite(const RopeKvWriteParams& p, void* stream) {
  const int heads = p.num_heads + 2 * p.kv.num_kv_heads;
  LaunchShape shape;
  shape.grid.x = static_cast<unsigned>(p.num_tokens);
  shape.grid.y = static_cast<unsigned>((heads + kWarps - 1) / kWarps);
  shape.threads = kWarps * kWarp;
  shape.stream = stream;
  Launch<RopeKvWrite>(shape, p);
}

}  // namespace millrace::cuda
