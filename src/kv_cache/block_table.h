// BlockTable: the KV blocks of one sequence, group by group.
#pragma once

#include <climits>
#include <cstdint>
#include <vector>

#include "core/ids.h"
#include "kv_cache/block_pool.h"

namespace millrace {

// One KV group. Paged: entry i of `blocks` holds tokens [16 i, 16 i + 16) and is empty where a window group freed it.
// Recurrent: `blocks` is the state after the last scheduled token, empty before the first.
struct GroupBlocks {
  std::vector<BlockRef> blocks;
  std::vector<BlockRef> read_state;  // recurrent: what the row being scheduled starts from
  int first_live = 0;                // paged: entries below are empty
};

struct BlockTable {
  std::vector<GroupBlocks> groups;
  // Place in the prefix tree of the last full block that is cached; checked before use, since the node may be gone.
  int32_t cache_node = -1;
  uint32_t cache_generation = 0;
  int num_cached_blocks = 0;          // full blocks known to the prefix cache
  int first_created_block = INT_MAX;  // first block whose cache node this table created
};

}  // namespace millrace
