// What the scheduler tells about itself.
#include <algorithm>
#include <set>

#include "base/checked_math.h"
#include "scheduler/scheduler.h"

namespace millrace {

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = counters_;
  stats.num_running = static_cast<int>(running_.size());
  for (const Sequence* sequence : waiting_) {
    stats.num_paused += sequence->paused;
    stats.num_swapped += sequence->phase == SequencePhase::kSwapped;
  }
  stats.num_waiting = static_cast<int>(waiting_.size()) - stats.num_paused;
  stats.kv = kv_.stats();
  stats.kv_usage = static_cast<double>(stats.kv.num_in_use) / stats.kv.num_blocks;
  for (const Sequence* sequence : running_) {
    for (size_t g = 0; g < sequence->blocks.groups.size(); ++g) {
      if (kv_.groups()[g].kind == KvGroupKind::kRecurrent) continue;
      const int wasted =
          static_cast<int>(sequence->blocks.groups[g].blocks.size()) * kKvBlockTokens - sequence->num_computed;
      stats.kv_wasted_slots += wasted;
      stats.kv_worst_waste = std::max(stats.kv_worst_waste, wasted);
    }
  }
  if (stats.kv.num_in_use > 0) {
    stats.kv_waste =
        static_cast<double>(stats.kv_wasted_slots) / (static_cast<double>(stats.kv.num_in_use) * kKvBlockTokens);
  }
  return stats;
}

std::string Scheduler::DescribeError() {
  if (std::string error = kv_.DescribeError(); !error.empty()) return error;
  std::set<BlockId> held;
  int64_t reserved = 0;
  size_t announced = 0;
  const auto hold = [&](const std::vector<BlockRef>& blocks) {
    for (const BlockRef& block : blocks) {
      if (block) held.insert(block.id());
    }
  };
  for (const Sequence* s : running_) {
    if (s->phase != SequencePhase::kRunning) return fmt::format("sequence {} runs in a wrong phase", s->id);
    if (s->paused) return fmt::format("sequence {} runs though it is paused", s->id);
    if (!s->can_be_preempted() && !s->is_beam) reserved += kv_.MaxBlocks(s->max_tokens);
    announced += s->last_computing - s->first_computing;
    for (size_t g = 0; g < s->blocks.groups.size(); ++g) {
      hold(s->blocks.groups[g].blocks);
      hold(s->blocks.groups[g].read_state);
      const int blocks = static_cast<int>(s->blocks.groups[g].blocks.size());
      const bool paged = kv_.groups()[g].kind != KvGroupKind::kRecurrent;
      if (paged && blocks != CeilDiv(s->num_computed, kKvBlockTokens)) {
        return fmt::format("sequence {} has {} blocks for {} tokens", s->id, blocks, s->num_computed);
      }
    }
  }
  for (const auto& [request, group] : beams_) {
    if (group.started) reserved += group.reserved_blocks;
    for (SequenceId id : group.live) {
      if (Find(id) == nullptr) return fmt::format("beam {} is gone", id);
    }
  }
  int protected_waiting = 0;
  for (const Sequence* s : waiting_) {
    protected_waiting += s->num_preemptions == kMaxPreemptions;
    if (s->phase == SequencePhase::kRunning) return fmt::format("sequence {} waits in a wrong phase", s->id);
    if (kv_.NumBlocks(s->blocks) > 0) return fmt::format("sequence {} waits with blocks", s->id);
    if (s->num_preemptions > kMaxPreemptions)
      return fmt::format("sequence {} was preempted {} times", s->id, s->num_preemptions);
  }
  if (protected_waiting != num_protected_waiting_) return "protected waiting sequences were miscounted";
  for (const Step& step : in_flight_) {
    for (const Row& row : step.rows) {
      for (const std::vector<BlockRef>& state : row.state) hold(state);
    }
  }
  const KvCacheStats kv = kv_.stats();
  if (static_cast<int>(held.size()) != kv.num_in_use)
    return fmt::format("{} blocks in use, {} held", kv.num_in_use, held.size());
  if (kv.num_free + kv.num_cached + kv.num_in_use != kv.num_blocks)
    return "free + cached + in use differ from all blocks";
  if (reserved != protected_blocks_) return fmt::format("{} blocks reserved, {} needed", protected_blocks_, reserved);
  if (reserved > kv.num_blocks) return "more blocks are reserved than there are";
  for (const auto& [hash, count] : computing_) announced -= count;
  if (announced != 0) return "announced blocks do not add up";
  if (running_.size() + waiting_.size() != sequences_.size()) return "a sequence is neither running nor waiting";
  return "";
}

}  // namespace millrace
