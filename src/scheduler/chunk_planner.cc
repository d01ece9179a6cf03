#include "scheduler/chunk_planner.h"

#include <algorithm>
#include <numeric>

namespace millrace {

ChunkPlanner::ChunkPlanner(const SchedulerConfig& config)
    : target_us_(config.target_inter_token_us),
      max_tokens_(config.max_num_batched_tokens),
      chunk_tokens_(config.max_num_batched_tokens) {
  const StepCost& cost = config.step_cost;
  if (target_us_ > 0 && cost.us_per_prefill_token > 0) {
    chunk_tokens_ = (static_cast<double>(target_us_) - cost.us_per_step) / cost.us_per_prefill_token;
  }
  chunk_tokens_ =
      std::clamp(chunk_tokens_, std::min<double>(kKvBlockTokens, max_tokens_), static_cast<double>(max_tokens_));
}

int ChunkPlanner::PrefillBudget(int num_decode_tokens) const {
  const int room = std::max(0, max_tokens_ - num_decode_tokens);
  if (target_us_ == 0 || num_decode_tokens == 0) return room;
  return std::min(room, static_cast<int>(chunk_tokens_));
}

void ChunkPlanner::Observe(int64_t step_time_us, int num_decode_tokens, int num_prefill_tokens) {
  if (target_us_ == 0 || step_time_us <= 0 || num_decode_tokens == 0 || num_prefill_tokens == 0) return;
  const double ratio = static_cast<double>(target_us_) / static_cast<double>(step_time_us);
  // A step over the target cuts at once, one below it grows the chunk gently, and only when the chunk was what limited
  // the step.
  if (ratio < 1) {
    chunk_tokens_ = std::min(chunk_tokens_, static_cast<double>(num_prefill_tokens)) * std::max(ratio, 0.5);
  } else if (num_prefill_tokens + 1 >= chunk_tokens_) {
    chunk_tokens_ *= std::min(ratio, 1.1);
  }
  chunk_tokens_ =
      std::clamp(chunk_tokens_, std::min<double>(kKvBlockTokens, max_tokens_), static_cast<double>(max_tokens_));
}

std::vector<int> ChunkPlanner::Split(int budget, const std::vector<int>& remaining) {
  std::vector<int> share(remaining.size(), 0);
  std::vector<size_t> order(remaining.size());
  std::iota(order.begin(), order.end(), 0);
  const auto give = [&](int tokens) {
    for (size_t i : order) {
      const int more = std::min(tokens, remaining[i] - share[i]);
      share[i] += more;
      tokens -= more;
    }
    return tokens;
  };
  const int first = (budget + 1) / 2;
  int rest = budget - first + give(first);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return remaining[a] < remaining[b]; });
  give(rest);
  return share;
}

}  // namespace millrace
