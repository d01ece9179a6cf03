#include "kernels/rope_kv_write/rope_kv_write.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "kernels/attention/kv_layout.h"
#include "kernels/norm/norm.h"

namespace millrace::kernels {
namespace {

void RopeHead(float* x, const float* cos_sin, int rotary_dim, bool interleaved) {
  const int half = rotary_dim / 2;
  for (int i = 0; i < half; ++i) {
    float& a = x[interleaved ? 2 * i : i];
    float& b = x[interleaved ? 2 * i + 1 : i + half];
    const float c = cos_sin[2 * i];
    const float s = cos_sin[2 * i + 1];
    const float rotated = a * c - b * s;
    b = b * c + a * s;
    a = rotated;
  }
}

void Prepare(const RopeKvWriteArgs& args, const Norm& norm, float* heads, int num_heads, int64_t token) {
  const int head_dim = args.kv.head_dim;
  if (norm.kind != NormKind::kNone && args.norm_whole_row) NormRow(norm, 0, heads, num_heads * head_dim, heads);
  for (int h = 0; h < num_heads; ++h) {
    float* x = heads + h * head_dim;
    if (norm.kind != NormKind::kNone && !args.norm_whole_row) NormRow(norm, 0, x, head_dim, x);
    if (args.cos_sin != nullptr) RopeHead(x, args.cos_sin + token * args.rotary_dim, args.rotary_dim, args.rope_interleaved);
  }
}

template <typename OffsetFn>
void WriteHead(DType dtype, const float* x, int head_dim, std::byte* part, float* scale_at, const OffsetFn& offset) {
  float inverse = 0;
  if (dtype == DType::kI8) {
    float amax = 0;
    for (int d = 0; d < head_dim; ++d) amax = std::max(amax, std::fabs(x[d]));
    *scale_at = amax / 127.0f;
    inverse = amax > 0 ? 127.0f / amax : 0.0f;
  }
  for (int d = 0; d < head_dim; ++d) {
    std::byte* at = part + offset(d);
    if (dtype == DType::kF32) {
      std::memcpy(at, &x[d], 4);
    } else if (dtype == DType::kI8) {
      *at = static_cast<std::byte>(static_cast<int>(std::nearbyintf(x[d] * inverse)) + 128);
    } else {
      const uint16_t half = dtype == DType::kBF16 ? F32ToBf16(x[d]) : F32ToF16(std::clamp(x[d], -65504.0f, 65504.0f));
      std::memcpy(at, &half, 2);
    }
  }
}

}  // namespace

void RopeKvWriteCpu(OpContext* context, const RopeKvWriteArgs* args) {
  const AttentionBatch& batch = *args->batch;
  const KvLayout layout = KvLayout::Make(args->kv.dtype, args->kv.head_dim);
  const int head_dim = args->kv.head_dim;
  context->pool->ParallelFor(batch.num_rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t t = batch.query_start[row]; t < batch.query_start[row + 1]; ++t) {
        float* q = args->qkv + t * args->stride;
        float* k = q + args->num_heads * head_dim;
        const float* v = k + args->kv.num_kv_heads * head_dim;
        Prepare(*args, args->q_norm, q, args->num_heads, t);
        Prepare(*args, args->k_norm, k, args->kv.num_kv_heads, t);
        const int slot = static_cast<int>(batch.context_len[row] + t - batch.query_start[row]);
        const int32_t block = batch.block_ids[batch.table_start[row] + slot / kKvBlockSlots];
        if (block < 0) continue;
        const int lane = slot % kKvBlockSlots;
        for (int h = 0; h < args->kv.num_kv_heads; ++h) {
          std::byte* part = KvHeadPart(args->kv, layout, block, h);
          float* k_scale = reinterpret_cast<float*>(part + layout.k_scales) + lane;
          float* v_scale = reinterpret_cast<float*>(part + layout.v_scales) + lane;
          WriteHead(args->kv.dtype, k + h * head_dim, head_dim, part, k_scale, [&](int d) { return layout.KOffset(lane, d); });
          WriteHead(args->kv.dtype, v + h * head_dim, head_dim, part, v_scale, [&](int d) { return layout.VOffset(lane, d); });
        }
      }
    }
  });
}

}  // namespace millrace::kernels
