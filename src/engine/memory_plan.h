// MemoryPlan: how much of the machine the KV cache may take, decided once at start and never exceeded.
#pragma once

#include <cstdint>
#include <string>

#include "base/dtype.h"
#include "base/status.h"

namespace millrace {

struct MemoryPlanInput {
  int64_t available_bytes = 0;      // what the system can give now, weights and workspace already taken
  int64_t block_bytes = 0;          // of the KV pool
  int64_t blocks_per_sequence = 0;  // for max_model_len tokens, all groups
  int max_model_len = 0;
  bool max_model_len_given = false;
  int max_num_seqs = 0;
  int64_t kv_cache_bytes = 0;  // --kv-cache-bytes; 0: decide here
  int64_t swap_bytes = 0;      // --swap-space-bytes, taken from what is available first
};

struct MemoryPlan {
  int64_t num_blocks = 0;
  int max_model_len = 0;
  int64_t available_bytes = 0;  // of the input
  std::string reason;           // one line for the log: what was decided and why
};

// The rest of what an engine takes.
struct MemoryReport {
  std::string model;
  int64_t file_bytes = 0;
  int64_t weight_bytes = 0;
  int64_t workspace_bytes = 0;
  int64_t block_bytes = 0;
  int64_t swap_bytes = 0;
  DType kv_dtype = DType::kBF16;
  int max_num_seqs = 0;
  int max_num_batched_tokens = 0;
};

// A table of one line per part, each with its size and what decides it, and their sum.
std::string DescribeMemory(const MemoryReport& report, const MemoryPlan& plan);

// Room for every sequence at full length if that fits in 80 % of what is available, else that 80 %. A model length that
// was not asked for shrinks to what the pool can hold; one that was asked for and does not fit is kResourceExhausted.
Result<MemoryPlan> PlanKvMemory(const MemoryPlanInput& input);

// Memory that this process can still get: MemAvailable, bounded by the cgroup's limit.
int64_t AvailableMemoryBytes();

// "1.5 GiB"
std::string FormatBytes(int64_t bytes);

}  // namespace millrace
