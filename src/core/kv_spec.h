// KV groups: how a model's layers keep state between steps, declared by the model, counted by kv_cache, laid out by the
// kernels.
//
// One pool of equal-sized blocks serves every group. In a paged group a block holds kKvBlockTokens tokens of all the
// group's layers; in a recurrent group a sequence's whole state takes BlocksPerState table entries, filled with its
// pieces in order.
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
  std::vector<int> layers;      // model layers that share this group's block table, in order
  int64_t bytes_per_block = 0;  // paged: kKvBlockTokens tokens of all layers
  // Recurrent: the pieces of one layer's state that must be contiguous; the group's state is these for each layer in
  // turn.
  std::vector<int64_t> state_piece_bytes;
  int window_tokens = 0;  // kWindow
};

// Bytes of a pool block: the largest paged group, or the largest state piece if that is more.
int64_t PoolBlockBytes(const std::vector<KvGroupSpec>& groups);

// Where the pieces of a recurrent state lie: piece p of layer l is number l * pieces per layer + p.
struct StatePlacement {
  struct Piece {
    int block;       // table entry
    int64_t offset;  // inside it
  };
  std::vector<Piece> pieces;
  int num_blocks = 0;
};
StatePlacement PlaceState(const KvGroupSpec& group, int64_t pool_block_bytes);
inline int BlocksPerState(const KvGroupSpec& group, int64_t pool_block_bytes) {
  return PlaceState(group, pool_block_bytes).num_blocks;
}

}  // namespace millrace
