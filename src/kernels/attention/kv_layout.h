// Bytes of one layer of a paged KV block on the CPU, shared by every ISA.
//
// A layer's part of a block holds, per kv head, the K tile, the V tile and, for 8 bits, the K scales and the V scales.
// Sixteen tokens are the sixteen lanes of a 512-bit register:
//   K  lanes are tokens, so that scores need no horizontal sum: [head_dim / g][16 tokens][g dims], g = 1 (F32, F16,
//   F8), 2 (BF16), 4 (I8). V  lanes are dims, and g tokens lie together for the dot products: [16 / g][head_dim][g
//   tokens]. I8 groups lie in the order 0, 2, 1, 3: the even bytes are then the first pair, the odd bytes the second,
//   as products of int16 want them.
//      A value is stored as value + 128 (unsigned), value = round(x / scale), scale = max |x| / 127 over the head of
//      one token; scales are f32 [16 tokens].
//      F8 stores e4m3 of x / scale, scale = max |x| / 448; never the code of NaN: a head with a NaN has it for its
//      scale.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/op_table.h"

namespace millrace::kernels {

inline constexpr int kKvBlockSlots = 16;  // tokens of a block; equals kKvBlockTokens of core/ids.h
inline constexpr int kMaxHeadDim = 576;   // head_dim is a multiple of 8 up to this

// Where the values of one kv head of one layer lie, in bytes from the start of that head's part.
struct KvLayout {
  int64_t k_tile = 0;
  int64_t v_tile = 0;
  int64_t k_scales = 0;  // I8, F8
  int64_t v_scales = 0;  // I8, F8
  int64_t head_bytes = 0;
  int group = 1;  // g above
  int elem_bytes = 4;
  int head_dim = 0;

  // dtype is one of F32, F16, BF16, I8, F8E4M3.
  static KvLayout Make(DType dtype, int head_dim);

  int64_t KOffset(int token, int dim) const {
    return k_tile + ((static_cast<int64_t>(dim / group) * kKvBlockSlots + token) * group + PlaceInGroup(dim % group)) *
                        elem_bytes;
  }
  int64_t VOffset(int token, int dim) const {
    return v_tile +
           ((static_cast<int64_t>(token / group) * head_dim + dim) * group + PlaceInGroup(token % group)) * elem_bytes;
  }
  int PlaceInGroup(int i) const { return group == 4 && (i == 1 || i == 2) ? 3 - i : i; }
};

// The part of kv head `head` in block `block` of a layer.
inline std::byte* KvHeadPart(const KvCacheView& kv, const KvLayout& layout, int32_t block, int head) {
  return kv.blocks + block * kv.block_bytes + kv.layer_offset + head * layout.head_bytes;
}

// OpTable::kv_layer_bytes: bytes of one layer in a block, a multiple of 64.
int64_t KvLayerBytesCpu(DType dtype, int num_kv_heads, int head_dim);

// OpTable::copy_blocks.
void CopyBlocksCpu(OpContext* context, std::byte* blocks, int64_t block_bytes, const int32_t* from, const int32_t* to,
                   int64_t n);

}  // namespace millrace::kernels
