// Keys and values on the GPU, bf16: a layer's part of a block holds, for every kv head, K [16 tokens][head_dim] and
// then V [16 tokens][head_dim]. Block ids are those of the scheduler.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::cuda {

inline constexpr int kBlockSlots = 16;     // tokens of a KV block
inline constexpr int kSegmentSlots = 256;  // absolute positions that attention reduces alone, as on the CPU

// One layer of the cache, and the rows of the step; every array on the device (kernels/op_table.h has the meaning).
struct PagedKv {
  std::byte* blocks = nullptr;
  int64_t block_bytes = 0;
  int64_t layer_offset = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int num_rows = 0;
  const int32_t* query_start = nullptr;
  const int32_t* context_len = nullptr;
  const int32_t* table_start = nullptr;
  const int32_t* block_ids = nullptr;
};

constexpr int64_t KvHeadBytes(int head_dim) {
  return int64_t{2} * kBlockSlots * head_dim * 2;
}

}  // namespace millrace::cuda
