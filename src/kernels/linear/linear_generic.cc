// Portable kernels: the shape of the vector kernels in plain C++, for processors that no other file serves.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

constexpr int kTokens = 8;

// x [num_blocks][32], sharing a scale, into blocks `stride` bytes apart; whole numbers alone, as this file's tiles take
// no sums.
void QuantiseBlocks(const float* x, int num_blocks, std::byte* dst, int64_t stride) {
  float max = 0.0f;
  bool finite = true;
  for (int i = 0; i < 32 * num_blocks; ++i) {
    finite &= std::isfinite(x[i]);
    max = std::max(max, std::fabs(x[i]));
  }
  const bool usable = finite && max > 0x1p-100f;
  const float inverse = usable ? 127.0f / max : 0.0f;
  for (int b = 0; b < num_blocks; ++b) {
    auto* out = reinterpret_cast<Int8Block*>(dst + b * stride);
    *out = Int8Block();
    out->scale = finite ? max / 127.0f : std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; usable && i < 32; ++i) out->q[i] = static_cast<int8_t>(std::nearbyintf(x[32 * b + i] * inverse));
  }
}

// x [encoding.scale_blocks][32]
void EncodeBlocks(const float* x, const Encoding& encoding, std::byte* dst, int64_t stride) {
  switch (encoding.type) {
    case ActivationType::kInt8:
      return QuantiseBlocks(x, encoding.scale_blocks, dst, stride);
    case ActivationType::kInt8Signs:
      CHECK(false, "only the AVX2 tiles take signs apart");
    case ActivationType::kBf16:
      for (int i = 0; i < 32; ++i) reinterpret_cast<uint16_t*>(dst)[i] = F32ToBf16(x[i]);
      return;
    case ActivationType::kF32:
      std::memcpy(dst, x, 32 * sizeof(float));
      return;
  }
}

void EncodeRun(const float* x, int num_blocks, const Encoding& encoding, std::byte* dst) {
  for (int block = 0; block < num_blocks; ++block)
    EncodeBlocks(x + block * 32, encoding, dst + block * EncodedBlockBytes(encoding.type), 0);
}

void PrepareRow(const PrepareArgs& args) {
  float mean = 0.0f;
  float factor = 1.0f;
  if (args.norm.kind != NormKind::kNone) {
    double sum = 0.0;
    if (args.norm.kind == NormKind::kLayer) {
      for (int64_t i = 0; i < args.cols; ++i) sum += args.x[i];
      mean = static_cast<float>(sum / static_cast<double>(args.cols));
    }
    double squares = 0.0;
    for (int64_t i = 0; i < args.cols; ++i) squares += static_cast<double>(args.x[i] - mean) * (args.x[i] - mean);
    factor = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(args.cols) + args.norm.eps));
  }
  const int64_t values_at_once = 32 * args.encoding.scale_blocks;
  for (int64_t block = 0; block < args.num_blocks; block += args.encoding.scale_blocks) {
    float values[32 * kSuperBlocks] = {};
    for (int64_t i = 0; i < values_at_once && block * 32 + i < args.cols; ++i) {
      const int64_t k = block * 32 + i;
      values[i] = args.x[k];
      if (args.norm.kind == NormKind::kNone) continue;
      values[i] = (values[i] - mean) * factor * args.norm.weight[k];
      if (args.norm.bias != nullptr) values[i] += args.norm.bias[k];
    }
    EncodeBlocks(values, args.encoding, args.Block(block), args.dst_stride);
  }
}

template <int kCount>
void PlainTile(const TileArgs& args) {
  float acc[kCount][kPanelRows] = {};
  if (args.resume) std::memcpy(acc, args.acc, sizeof(acc));
  BlockValues w;
  for (int64_t block = 0; block < args.num_chunks; ++block) {
    UnpackBlock(*args.format, args.panel + block * args.format->ChunkBytes(), 0, &w);
    for (int t = 0; t < kCount; ++t) {
      const auto* x = reinterpret_cast<const float*>(args.x + block * args.x_stride + t * 128);
      for (int k = 0; k < kBlockValues; ++k) {
        for (int row = 0; row < kPanelRows; ++row) acc[t][row] += w.plain[row][k] * x[k];
      }
    }
  }
  std::memcpy(args.acc, acc, sizeof(acc));
}

template <int kCount>
void Int8Tile(const TileArgs& args) {
  const PanelFormat& format = *args.format;
  const int values = format.HasHalves() ? 16 : 32;  // to a scale
  float acc[kCount][kPanelRows] = {};
  if (args.resume) std::memcpy(acc, args.acc, sizeof(acc));
  BlockValues w;
  for (int64_t block = 0; block < args.num_chunks * format.chunk_blocks; ++block) {
    const std::byte* chunk = args.panel + block / format.chunk_blocks * format.ChunkBytes();
    UnpackBlock(format, chunk, static_cast<int>(block % format.chunk_blocks), &w);
    for (int t = 0; t < kCount; ++t) {
      const auto* x = reinterpret_cast<const Int8Block*>(args.x + block * args.x_stride) + t;
      for (int row = 0; row < kPanelRows; ++row) {
        for (int first = 0; first < 32; first += values) {
          int32_t dot = 0;
          int32_t sum = 0;
          for (int k = first; k < first + values; ++k) {
            dot += w.value[row][k] * x->q[k];
            sum += x->q[k];
          }
          const int h = first / 16;
          const float product = static_cast<float>(dot) * w.scale[h][row] - static_cast<float>(sum) * w.min[h][row];
          acc[t][row] += product * x->scale;
        }
      }
    }
  }
  std::memcpy(args.acc, acc, sizeof(acc));
}

float Sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

float Activate(ActivationKind kind, float x) {
  switch (kind) {
    case ActivationKind::kNone:
      return x;
    case ActivationKind::kSilu:
      return x * Sigmoid(x);
    case ActivationKind::kGeluTanh:
      return 0.5f * x * (1.0f + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
    case ActivationKind::kGeluErf:
      return 0.5f * x * (1.0f + std::erf(x * 0.7071067812f));
    case ActivationKind::kSwigluOai:
      return x * Sigmoid(1.702f * x);
    case ActivationKind::kRelu2:
      return x > 0.0f ? x * x : x * 0.0f;
  }
  return x;
}

void Epilogue(const EpilogueArgs& args) {
  const bool oai = args.activation == ActivationKind::kSwigluOai;
  for (int t = 0; t < args.tokens; ++t) {
    float* out = args.out + t * args.out_stride;
    for (int i = 0; i < args.count; ++i) {
      float value = args.acc[t * kPanelRows + i] + (args.bias != nullptr ? args.bias[i] : 0.0f);
      if (oai && value > args.swiglu_limit) value = args.swiglu_limit;
      value = Activate(args.activation, value);
      if (args.acc_up != nullptr) {
        float up = args.acc_up[t * kPanelRows + i] + (args.bias_up != nullptr ? args.bias_up[i] : 0.0f);
        if (oai && up > args.swiglu_limit) up = args.swiglu_limit;
        if (oai && up < -args.swiglu_limit) up = -args.swiglu_limit;
        value *= oai ? up + 1.0f : up;
      }
      value *= args.scale;
      out[i] = args.accumulate ? out[i] + value : value;
    }
  }
}

}  // namespace

const LinearIsa kLinearGeneric = {Isa::kGeneric, PrepareRow, EncodeRun, Epilogue};

const TileKernel kTilePlainGeneric = {
    {ActivationType::kF32},
    {kTokens},
    {PlainTile<1>, PlainTile<2>, PlainTile<3>, PlainTile<4>, PlainTile<5>, PlainTile<6>, PlainTile<7>, PlainTile<8>}};
const TileKernel kTileInt8Generic = {
    {ActivationType::kInt8},
    {kTokens},
    {Int8Tile<1>, Int8Tile<2>, Int8Tile<3>, Int8Tile<4>, Int8Tile<5>, Int8Tile<6>, Int8Tile<7>, Int8Tile<8>}};
const TileKernel kTileSuperGeneric = {
    {ActivationType::kInt8, BlockSum::kNone, 0, kSuperBlocks},
    {kTokens},
    {Int8Tile<1>, Int8Tile<2>, Int8Tile<3>, Int8Tile<4>, Int8Tile<5>, Int8Tile<6>, Int8Tile<7>, Int8Tile<8>}};

}  // namespace millrace::kernels
