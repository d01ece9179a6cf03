#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/rope_kv_write/rope_kv_write_kernels.h"

namespace millrace::kernels {
namespace {

void NormHeads(const Norm& norm, std::vector<double>& x, size_t begin, size_t n) {
  double mean = 0;
  double square = 0;
  if (norm.kind == NormKind::kLayer) {
    for (size_t i = 0; i < n; ++i) mean += x[begin + i] / static_cast<double>(n);
  }
  for (size_t i = 0; i < n; ++i) square += (x[begin + i] - mean) * (x[begin + i] - mean) / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) {
    x[begin + i] = (x[begin + i] - mean) / std::sqrt(square + norm.eps) * norm.weight[i] +
                   (norm.bias != nullptr ? norm.bias[i] : 0.0f);
  }
}

void Prepare(const RopeKvWriteArgs& args, const Norm& norm, float* heads, int num_heads, int64_t token) {
  const int head_dim = args.kv.head_dim;
  std::vector<double> x(heads, heads + num_heads * head_dim);
  if (norm.kind != NormKind::kNone && args.norm_whole_row) NormHeads(norm, x, 0, x.size());
  for (int h = 0; h < num_heads; ++h) {
    if (norm.kind != NormKind::kNone && !args.norm_whole_row) NormHeads(norm, x, h * head_dim, head_dim);
    for (int i = 0; args.cos_sin != nullptr && i < args.rotary_dim / 2; ++i) {
      double& a = x[h * head_dim + (args.rope_interleaved ? 2 * i : i)];
      double& b = x[h * head_dim + (args.rope_interleaved ? 2 * i + 1 : i + args.rotary_dim / 2)];
      const double c = args.cos_sin[token * args.rotary_dim + 2 * i];
      const double s = args.cos_sin[token * args.rotary_dim + 2 * i + 1];
      const double rotated = a * c - b * s;
      b = b * c + a * s;
      a = rotated;
    }
  }
  std::copy(x.begin(), x.end(), heads);
}

template <typename OffsetFn>
void WriteHead(DType dtype, const float* x, int head_dim, std::byte* part, int64_t scale_offset,
               const OffsetFn& offset) {
  float amax = 0;
  for (int d = 0; d < head_dim; ++d) amax = std::max(amax, std::fabs(x[d]));
  const float scale = amax / (dtype == DType::kI8 ? 127.0f : 448.0f);
  if (dtype == DType::kI8 || dtype == DType::kF8E4M3) std::memcpy(part + scale_offset, &scale, sizeof(scale));
  for (int d = 0; d < head_dim; ++d) {
    std::byte* at = part + offset(d);
    if (dtype == DType::kF32) {
      std::memcpy(at, &x[d], 4);
    } else if (dtype == DType::kI8) {
      *at = static_cast<std::byte>(static_cast<int>(std::nearbyintf(amax > 0 ? x[d] * (127.0f / amax) : 0.0f)) + 128);
    } else if (dtype == DType::kF8E4M3) {
      *at = static_cast<std::byte>(F32ToF8E4M3(amax > 0 ? x[d] * (448.0f / amax) : 0.0f));
    } else {
      const uint16_t half = dtype == DType::kBF16 ? F32ToBf16(x[d]) : F32ToF16(std::clamp(x[d], -65504.0f, 65504.0f));
      std::memcpy(at, &half, 2);
    }
  }
}

}  // namespace

void RopeKvWriteRef(const RopeKvWriteArgs& args) {
  const AttentionBatch& batch = *args.batch;
  const KvLayout layout = KvLayout::Make(args.kv.dtype, args.kv.head_dim);
  const int head_dim = args.kv.head_dim;
  for (int row = 0; row < batch.num_rows; ++row) {
    for (int t = batch.query_start[row]; t < batch.query_start[row + 1]; ++t) {
      float* q = args.qkv + t * args.stride;
      float* k = q + args.num_heads * head_dim;
      const float* v = k + args.kv.num_kv_heads * head_dim;
      Prepare(args, args.q_norm, q, args.num_heads, t);
      Prepare(args, args.k_norm, k, args.kv.num_kv_heads, t);
      const int slot = batch.context_len[row] + t - batch.query_start[row];
      const int32_t block = batch.block_ids[batch.table_start[row] + slot / kKvBlockSlots];
      if (block < 0) continue;
      const int lane = slot % kKvBlockSlots;
      for (int h = 0; h < args.kv.num_kv_heads; ++h) {
        std::byte* part = KvHeadPart(args.kv, layout, block, h);
        WriteHead(args.kv.dtype, k + h * head_dim, head_dim, part, layout.k_scales + lane * 4,
                  [&](int d) { return layout.KOffset(lane, d); });
        WriteHead(args.kv.dtype, v + h * head_dim, head_dim, part, layout.v_scales + lane * 4,
                  [&](int d) { return layout.VOffset(lane, d); });
      }
    }
  }
}

}  // namespace millrace::kernels
