// Where kernels find keys and values.
#pragma once

#include "cuda/device.h"
#include "cuda/paged_kv.h"

namespace millrace::cuda {

// Value 0 of the key of `slot` in block `block`; the value vector lies kBlockSlots * head_dim values further.
__device__ __forceinline__ uint16_t* KeyAddress(const PagedKv& kv, int32_t block, int kv_head, int slot) {
  std::byte* head = kv.blocks + block * kv.block_bytes + kv.layer_offset + kv_head * KvHeadBytes(kv.head_dim);
  return reinterpret_cast<uint16_t*>(head) + slot % kBlockSlots * kv.head_dim;
}

}  // namespace millrace::cuda
