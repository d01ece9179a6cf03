// ChunkPlanner: how many prefill tokens a step may hold beside decodes, so that the step takes the wished time between
// two tokens. The first guess comes from the cost model; every measured step then corrects it. Pure arithmetic on
// reported times.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/scheduler_config.h"

namespace millrace {

class ChunkPlanner {
 public:
  explicit ChunkPlanner(const SchedulerConfig& config);

  // Prefill tokens for a step with num_decode_tokens other tokens; at least one block's when the token budget has room
  // for it.
  int PrefillBudget(int num_decode_tokens) const;
  // step_time_us <= 0: not measured.
  void Observe(int64_t step_time_us, int num_decode_tokens, int num_prefill_tokens);

  // Splits a budget among prefills by their remaining tokens, given in order of service: half of it in that order, the
  // rest to the shortest first, so that neither a long prompt nor the short ones behind it stand still. Returns tokens
  // per prefill.
  static std::vector<int> Split(int budget, const std::vector<int>& remaining);

 private:
  const int64_t target_us_;
  const int max_tokens_;
  double chunk_tokens_;  // steered; in [kKvBlockTokens, max_tokens_]
};

}  // namespace millrace
