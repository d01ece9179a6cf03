#include "cuda/linear_stream.cuh"

namespace millrace::cuda {
namespace {

template <WeightFormat kFormat, int kTokenTiles>
__global__ void __launch_bounds__(kStreamWarps* kWarp, kTokenTiles == 1 ? 2 : 1) LinearStream(LinearParams p) {
  StreamProduct<kFormat, kTokenTiles>(p, nullptr, static_cast<int>(blockIdx.x),
                                      static_cast<int>(blockIdx.y) * 8 * kTokenTiles);
}

template <WeightFormat kFormat, int kTokenTiles>
void Start(const LinearParams& p, void* stream) {
  LaunchShape shape;
  shape.grid.x = StreamTileGroups(p);
  shape.grid.y = static_cast<unsigned>((p.num_tokens + 8 * kTokenTiles - 1) / (8 * kTokenTiles));
  shape.threads = kStreamWarps * kWarp;
  shape.shared_bytes = StreamSharedBytes(kTokenTiles);
  shape.stream = stream;
  Launch<LinearStream<kFormat, kTokenTiles>>(shape, p);
}

template <WeightFormat kFormat>
void StartFor(const LinearParams& p, void* stream) {
  if (p.num_tokens <= 8) {
    Start<kFormat, 1>(p, stream);
  } else {
    Start<kFormat, 2>(p, stream);
  }
}

}  // namespace

void LaunchLinearStream(WeightFormat format, const LinearParams& params, void* stream) {
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

void LaunchLinear(WeightFormat format, const LinearParams& params, void* stream) {
  if (params.num_tokens <= kMaxStreamTokens) return LaunchLinearStream(format, params, stream);
  LaunchLinearTile(format, params, stream);
}

}  // namespace millrace::cuda
