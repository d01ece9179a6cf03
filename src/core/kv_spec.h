// KV groups: how a model's layers keep state between steps, declared by the model, counted by kv_cache, laid out by the kernels.
//
// One pool of equal-sized blocks serves every group. In a paged group a block holds kKvBlockTokens tokens of all the group's
// layers; in a recurrent group a sequence's whole state is one checkpoint of `blocks_per_state` consecutive table entries.
#pragma once

#include <cstdint>
#include <vector>

#include "core/ids.h"

namespace millrace {

enum class KvGroupKind : uint8_t {
  kFull,       // every token stays
  kWindow,     // blocks wholly outside the last `window_tokens` are freed
  kLatent,     // MLA: one shared latent vector per token; paged like kFull
  kRecurrent,  // state-space or linear attention: one fixed-size state per sequence
};

struct KvGroupSpec {
  KvGroupKind kind = KvGroupKind::kFull;
  std::vector<int> layers;       // model layers that share this group's block table, in order
  int64_t bytes_per_block = 0;   // paged: kKvBlockTokens tokens of all layers; recurrent: bytes of a whole state
  int window_tokens = 0;         // kWindow
};

// Bytes of a pool block: the largest paged group (a recurrent state is split over several blocks).
int64_t PoolBlockBytes(const std::vector<KvGroupSpec>& groups);
// Pool blocks that one state of a recurrent group takes.
int BlocksPerState(const KvGroupSpec& group, int64_t pool_block_bytes);

}  // namespace millrace
