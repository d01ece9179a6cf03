// Many tokens: bound by arithmetic. A block owns 128 rows and 64 or 128 tokens; both operands come through a ring of
// shared-memory stages filled by cp.async, in the swizzle that leaves no bank conflicts. Warps: 4 along rows (32 each),
// 2 along tokens.
#include "cuda/launch.h"
#include "cuda/linear_fragment.cuh"

namespace millrace::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlockRows = 128;
constexpr int kStages = 4;
constexpr int kRowTiles = 2;  // of a warp

template <WeightFormat kFormat, int kTokens>
struct Stage {
  static constexpr int kWeightChunks = StepBytes(kFormat) / 16;  // 16-byte chunks of a row
  static constexpr int kXChunks = StepElems(kFormat) / 8;
  static constexpr int kWeightBytes = kBlockRows * kWeightChunks * 16;
  static constexpr int kBytes = kWeightBytes + kTokens * kXChunks * 16;
  static constexpr int kTokenTiles = kTokens / 16;  // of a warp

  // Rows of 64 bytes lie as they are: eight lanes read 128 contiguous bytes.
  static __device__ __forceinline__ int WeightOffset(int row, int chunk) {
    return (row * kWeightChunks + (kWeightChunks == 4 ? chunk : SwizzledChunk(row, chunk, kWeightChunks))) * 16;
  }
  static __device__ __forceinline__ int XOffset(int token, int chunk) {
    return kWeightBytes + (token * kXChunks + SwizzledChunk(token, chunk, kXChunks)) * 16;
  }
};

template <WeightFormat kFormat, int kTokens>
__device__ __forceinline__ void FillStage(const LinearParams& p, int first_row, int first_token, int step,
                                          std::byte* stage) {
  using Shape = Stage<kFormat, kTokens>;
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int i = thread; i < kBlockRows * Shape::kWeightChunks; i += kThreads) {
    const int row = i / Shape::kWeightChunks, chunk = i % Shape::kWeightChunks;
    const bool valid = first_row + row < p.padded_rows;
    const std::byte* from =
        valid
            ? p.weights + (static_cast<int64_t>(first_row + row) * p.num_steps + step) * StepBytes(kFormat) + 16 * chunk
            : p.weights;
    CopyAsync16(stage + Shape::WeightOffset(row, chunk), from, valid);
  }
#pragma unroll
  for (int i = thread; i < kTokens * Shape::kXChunks; i += kThreads) {
    const int token = i / Shape::kXChunks, chunk = i % Shape::kXChunks;
    const bool valid = first_token + token < p.num_tokens;
    const uint16_t* from =
        valid ? p.x + (static_cast<int64_t>(first_token + token) * p.num_steps + step) * StepElems(kFormat) + 8 * chunk
              : p.x;
    CopyAsync16(stage + Shape::XOffset(token, chunk), from, valid);
  }
}

template <WeightFormat kFormat, int kTokens>
__device__ __forceinline__ void MultiplyStage(const LinearParams& p, const std::byte* stage, int first_row, int step,
                                              float (&acc)[kRowTiles][kTokens / 16][4]) {
  using Shape = Stage<kFormat, kTokens>;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = LaneIndex(), g = lane / 4, t = lane % 4;
  const int warp_row = warp / 2 * kRowTiles * kTileRows, warp_token = warp % 2 * (kTokens / 2);
  RawStep<kFormat> raw[kRowTiles];
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    const int row = warp_row + m * kTileRows + g;
#pragma unroll
    for (int i = 0; i < RawStep<kFormat>::kLoads; ++i) {
      raw[m].low[i] = *reinterpret_cast<const uint4*>(stage + Shape::WeightOffset(row, 4 * i + t));
      raw[m].high[i] = *reinterpret_cast<const uint4*>(stage + Shape::WeightOffset(row + 8, 4 * i + t));
    }
    if (first_row + row + 8 < p.padded_rows) LoadScales(p, step, first_row + row, &raw[m]);
  }
  [[maybe_unused]] constexpr int kUnroll =
      kFormat == WeightFormat::kInt4K ? 1 : StepGroups(kFormat);  // unrolled, scales and mins would spill
#pragma unroll kUnroll
  for (int group = 0; group < StepGroups(kFormat); ++group) {
    GroupFragment fragment[kRowTiles];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) MakeFragment(raw[m], group, &fragment[m]);
#pragma unroll
    for (int j = 0; j < Shape::kTokenTiles; ++j) {
      const uint4 x = *reinterpret_cast<const uint4*>(stage + Shape::XOffset(warp_token + 8 * j + g, 4 * group + t));
      const float2 sums = TokenSums<kFormat>(x);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) Accumulate<kFormat>(fragment[m], x, sums, acc[m][j]);
    }
  }
}

template <WeightFormat kFormat, int kTokens>
__global__ void __launch_bounds__(kThreads, 1) LinearTile(LinearParams p) {
  using Shape = Stage<kFormat, kTokens>;
  const int first_token = static_cast<int>(blockIdx.x) * kTokens, first_row = static_cast<int>(blockIdx.y) * kBlockRows;
  std::byte* ring = SharedMemory();
  float acc[kRowTiles][Shape::kTokenTiles][4] = {};
  float total[kRowTiles][Shape::kTokenTiles][4] = {};

#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < p.num_steps) FillStage<kFormat, kTokens>(p, first_row, first_token, s, ring + s * Shape::kBytes);
    CopyAsyncCommit();
  }
  int split = 0;
  for (int step = 0; step < p.num_steps; ++step) {
    CopyAsyncWait<kStages - 2>();
    __syncthreads();
    const int ahead = step + kStages - 1;
    if (ahead < p.num_steps)
      FillStage<kFormat, kTokens>(p, first_row, first_token, ahead, ring + ahead % kStages * Shape::kBytes);
    CopyAsyncCommit();
    MultiplyStage<kFormat, kTokens>(p, ring + step % kStages * Shape::kBytes, first_row, step, acc);
    if (step + 1 == SplitBegin(p.num_steps, split + 1, p.num_splits)) {
      ++split;
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
        for (int j = 0; j < Shape::kTokenTiles; ++j) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            total[m][j][i] += acc[m][j][i];
            acc[m][j][i] = 0.0f;
          }
        }
      }
    }
  }
  CopyAsyncWait<0>();
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    const int tile = first_row / kTileRows + warp / 2 * kRowTiles + m;
    if (tile * kTileRows >= p.padded_rows) continue;
#pragma unroll
    for (int j = 0; j < Shape::kTokenTiles; ++j) {
      StoreFragment(p, tile, first_token + warp % 2 * (kTokens / 2) + 8 * j, total[m][j]);
    }
  }
}

template <WeightFormat kFormat, int kTokens>
void Start(const LinearParams& p, void* stream) {
  LaunchShape shape;
  shape.grid.x = static_cast<unsigned>((p.num_tokens + kTokens - 1) / kTokens);
  shape.grid.y = static_cast<unsigned>((p.padded_rows + kBlockRows - 1) / kBlockRows);
  shape.threads = kThreads;
  shape.shared_bytes = kStages * Stage<kFormat, kTokens>::kBytes;
  shape.stream = stream;
  Launch<LinearTile<kFormat, kTokens>>(shape, p);
}

template <WeightFormat kFormat>
void StartFor(const LinearParams& p, void* stream) {
  // Quantised weights need registers for their groups' sums: 128 tokens would spill.
  if constexpr (kFormat == WeightFormat::kBf16) {
    if (p.num_tokens > 64) return Start<kFormat, 128>(p, stream);
  }
  Start<kFormat, 64>(p, stream);
}

}  // namespace

void LaunchLinearTile(WeightFormat format, const LinearParams& params, void* stream) {
  switch (format) {
    case WeightFormat::kBf16:
      return StartFor<WeightFormat::kBf16>(params, stream);
    case WeightFormat::kInt8:
      return StartFor<WeightFormat::kInt8>(params, stream);
    case WeightFormat::kInt4:
      return StartFor<WeightFormat::kInt4>(params, stream);
    case WeightFormat::kInt4K:
      return StartFor<WeightFormat::kInt4K>(params, stream);
    case WeightFormat::kInt8K:
      return StartFor<WeightFormat::kInt8K>(params, stream);
  }
}

}  // namespace millrace::cuda
