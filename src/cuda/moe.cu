#include "cuda/linear_stream.cuh"
#include "cuda/moe_kernels.h"

namespace millrace::cuda {
namespace {

constexpr int kRouteWarps = 4;
constexpr int kSortThreads = 512;
constexpr int kCombineThreads = 256;

__device__ __forceinline__ float WarpMax(float value) {
  for (int mask = 16; mask > 0; mask /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, mask));
  return value;
}

// A warp per token; lane l has experts l, l + 32, ...
__global__ void __launch_bounds__(kRouteWarps* kWarp) Route(RouteParams p) {
  const int token = static_cast<int>(blockIdx.x) * kRouteWarps + static_cast<int>(threadIdx.x) / kWarp,
            lane = LaneIndex();
  if (token >= p.num_tokens) return;
  const float* logits = p.logits + static_cast<int64_t>(token) * p.num_experts;
  int* experts = p.experts + static_cast<int64_t>(token) * p.k;
  float* weights = p.weights + static_cast<int64_t>(token) * p.k;
  uint32_t taken = 0;  // bit i: expert lane + 32 i
  float best = 0.0f, sum = 0.0f;
  for (int j = 0; j < p.k; ++j) {
    float mine = -INFINITY;
    int index = -1;
    for (int i = 0; lane + kWarp * i < p.num_experts; ++i) {
      const float logit = logits[lane + kWarp * i];
      if ((taken >> i & 1u) == 0 && (index < 0 || logit > mine)) {
        mine = logit;
        index = i;
      }
    }
    const float value = WarpMax(index >= 0 ? mine : -INFINITY);
    // The lowest id among equals, as the largest negative: ids are small enough for floats.
    const float chosen = -WarpMax(index >= 0 && mine == value ? -static_cast<float>(lane + kWarp * index) : -INFINITY);
    const int expert = chosen < static_cast<float>(p.num_experts) ? static_cast<int>(chosen) : 0;
    if (expert % kWarp == lane) taken |= 1u << (expert / kWarp);
    if (j == 0) best = value;
    const float weight = expf(value - best);
    sum += weight;
    if (lane == 0) {
      experts[j] = expert;
      weights[j] = weight;
    }
  }
  float all = 0.0f;
  for (int e = lane; e < p.num_experts; e += kWarp) all += expf(logits[e] - best);
  all = WarpSum(all);
  const bool broken = all != all;
  if (lane != 0) return;
  for (int j = 0; j < p.k; ++j) weights[j] = broken ? all : weights[j] / (p.softmax_over_all ? all : sum);
}

__global__ void __launch_bounds__(kSortThreads) SortChoices(SortChoicesParams p) {
  auto* next = reinterpret_cast<int*>(SharedMemory());  // [num_experts + 1]
  const int thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e <= p.num_experts; e += kSortThreads) next[e] = 0;
  __syncthreads();
  for (int i = thread; i < p.num_choices; i += kSortThreads) atomicAdd(&next[p.experts[i] + 1], 1);
  __syncthreads();
  if (thread == 0) {
    for (int e = 0; e < p.num_experts; ++e) next[e + 1] += next[e];
  }
  __syncthreads();
  for (int e = thread; e <= p.num_experts; e += kSortThreads) p.start[e] = next[e];
  __syncthreads();
  for (int i = thread; i < p.num_choices; i += kSortThreads) {
    const int row = atomicAdd(&next[p.experts[i]], 1);
    p.row_of_choice[i] = row;
    p.token_of_row[row] = i / p.k;
  }
}

template <WeightFormat kFormat, int kTokenTiles>
__global__ void __launch_bounds__(kStreamWarps* kWarp, 1) ExpertProduct(ExpertProductParams p) {
  const int expert = static_cast<int>(blockIdx.y);
  const int first_row = p.start[expert], num_rows = p.start[expert + 1] - first_row;
  LinearParams product = p.product;
  product.weights = p.weights[expert];
  product.scales = p.scales[expert];
  product.bias = p.bias[expert];
  product.num_tokens = num_rows;
  product.out += first_row * product.out_stride;
  const int* x_rows = p.x_rows;
  if (x_rows != nullptr) {
    x_rows += first_row;
  } else {
    product.x += static_cast<int64_t>(first_row) * product.num_steps * StepElems(kFormat);
  }
  for (int row = 0; row < num_rows; row += 8 * kTokenTiles) {
    StreamProduct<kFormat, kTokenTiles>(product, x_rows, static_cast<int>(blockIdx.x), row);
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kCombineThreads) Combine(CombineParams p) {
  const int64_t token = blockIdx.x;
  const float* weights = p.weights + token * p.k;
  const int* rows = p.row_of_choice + token * p.k;
  const float gate = p.shared_gate != nullptr ? 1.0f / (1.0f + expf(-p.shared_gate[token])) : 1.0f;
  for (int i = static_cast<int>(threadIdx.x); i < p.hidden; i += kCombineThreads) {
    float sum = 0.0f;
    for (int j = 0; j < p.k; ++j) sum = fmaf(weights[j], p.y[static_cast<int64_t>(rows[j]) * p.hidden + i], sum);
    if (p.shared != nullptr) sum = fmaf(gate, p.shared[token * p.hidden + i], sum);
    float& x = p.x[token * p.hidden + i];
    x = fmaf(p.scale, sum, x);
  }
}

template <WeightFormat kFormat, int kTokenTiles>
void StartExperts(const ExpertProductParams& p, void* stream) {
  LaunchShape shape;
  shape.grid = {StreamTileGroups(p.product), static_cast<unsigned>(p.num_experts), 1};
  shape.threads = kStreamWarps * kWarp;
  shape.shared_bytes = StreamSharedBytes(kTokenTiles);
  shape.stream = stream;
  Launch<ExpertProduct<kFormat, kTokenTiles>>(shape, p);
}

template <WeightFormat kFormat>
void StartExpertsFor(const ExpertProductParams& p, int rows_per_expert, void* stream) {
  if (rows_per_expert <= 8) {
    StartExperts<kFormat, 1>(p, stream);
  } else {
    StartExperts<kFormat, 2>(p, stream);
  }
}

}  // namespace

void LaunchRoute(const RouteParams& p, void* stream) {
  const auto blocks = static_cast<unsigned>((p.num_tokens + kRouteWarps - 1) / kRouteWarps);
  Launch<Route>({{blocks, 1, 1}, kRouteWarps * kWarp, 0, stream}, p);
}

void LaunchSortChoices(const SortChoicesParams& p, void* stream) {
  Launch<SortChoices>({{1, 1, 1}, kSortThreads, (kMaxExperts + 1) * sizeof(int), stream}, p);
}

void LaunchExpertProduct(WeightFormat format, const ExpertProductParams& p, int rows_per_expert, void* stream) {
  switch (format) {
    case WeightFormat::kBf16:
      return StartExpertsFor<WeightFormat::kBf16>(p, rows_per_expert, stream);
    case WeightFormat::kInt8:
      return StartExpertsFor<WeightFormat::kInt8>(p, rows_per_expert, stream);
    case WeightFormat::kInt4:
      return StartExpertsFor<WeightFormat::kInt4>(p, rows_per_expert, stream);
    case WeightFormat::kInt4K:
      return StartExpertsFor<WeightFormat::kInt4K>(p, rows_per_expert, stream);
    case WeightFormat::kInt8K:
      return StartExpertsFor<WeightFormat::kInt8K>(p, rows_per_expert, stream);
  }
}

void LaunchCombine(const CombineParams& p, void* stream) {
  Launch<Combine>({{static_cast<unsigned>(p.num_tokens), 1, 1}, kCombineThreads, 0, stream}, p);
}

}  // namespace millrace::cuda
