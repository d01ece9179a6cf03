#include "kernels/attention/kv_layout.h"

#include <algorithm>
#include <cstring>

namespace millrace::kernels {

KvLayout KvLayout::Make(DType dtype, int head_dim) {
  CHECK(head_dim > 0 && head_dim % 8 == 0 && head_dim <= kMaxHeadDim, "head_dim is {}", head_dim);
  KvLayout layout;
  layout.head_dim = head_dim;
  switch (dtype) {
    case DType::kF32:
      layout.group = 1, layout.elem_bytes = 4;
      break;
    case DType::kF16:
      layout.group = 1, layout.elem_bytes = 2;
      break;
    case DType::kBF16:
      layout.group = 2, layout.elem_bytes = 2;
      break;
    case DType::kI8:
      layout.group = 4, layout.elem_bytes = 1;
      break;
    case DType::kF8E4M3:
      layout.group = 1, layout.elem_bytes = 1;
      break;
    default:
      CHECK(false, "no KV cache of type {}", DTypeName(dtype));
  }
  const int64_t tile_bytes = static_cast<int64_t>(kKvBlockSlots) * head_dim * layout.elem_bytes;
  layout.v_tile = tile_bytes;
  layout.head_bytes = 2 * tile_bytes;
  if (dtype == DType::kI8 || dtype == DType::kF8E4M3) {
    constexpr int64_t kScalesBytes = kKvBlockSlots * sizeof(float);
    layout.k_scales = layout.head_bytes;
    layout.v_scales = layout.k_scales + kScalesBytes;
    layout.head_bytes += 2 * kScalesBytes;
  }
  return layout;
}

int64_t KvLayerBytesCpu(DType dtype, int num_kv_heads, int head_dim) {
  return num_kv_heads * KvLayout::Make(dtype, head_dim).head_bytes;
}

void CopyBlocksCpu(OpContext* context, std::byte* blocks, int64_t block_bytes, const int32_t* from, const int32_t* to,
                   int64_t n) {
  // A later pair may read what an earlier one wrote, so pairs go in order and the threads share each block.
  constexpr int64_t kPieceBytes = 64 << 10;
  for (int64_t i = 0; i < n; ++i) {
    const std::byte* source = blocks + from[i] * block_bytes;
    std::byte* target = blocks + to[i] * block_bytes;
    context->pool->ParallelFor(block_bytes, kPieceBytes, [&](int64_t begin, int64_t end) {
      std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
    });
  }
}

}  // namespace millrace::kernels
