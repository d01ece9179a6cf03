// Preemption: who gives up its blocks, and whether they are swapped to host memory or computed again.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace millrace {

// Only sequences served after the one in need, without a row in the step being built, and preempted fewer than
// kMaxPreemptions times.
Sequence* Scheduler::ChooseVictim(const Sequence& in_need) const {
  Sequence* best = nullptr;
  double best_score = 0;
  for (auto it = running_.rbegin(); it != running_.rend() && *it != &in_need; ++it) {
    Sequence* victim = *it;
    if (in_need.phase != SequencePhase::kRunning) return nullptr;
    if (!victim->can_be_preempted() || victim->last_step == step_ || kv_.NumBlocks(victim->blocks) == 0) continue;
    double score = 0;
    switch (config_.victim_policy) {
      case VictimPolicy::kLatest:
        return victim;
      case VictimPolicy::kLowestPriority:
        score = victim->request->priority;
        break;
      case VictimPolicy::kLeastGenerated:
        score = -victim->num_generated();
        break;
      case VictimPolicy::kWaitingScore: {
        const double waiting_us = static_cast<double>(std::max<int64_t>(0, now_us_ - victim->request->arrival_us));
        score = waiting_us /
                (static_cast<double>(std::max(victim->request->priority, 1)) * std::max(victim->num_generated(), 1));
      }
    }
    if (best == nullptr || score > best_score) {
      best = victim;
      best_score = score;
    }
  }
  return best;
}

bool Scheduler::SwapIsCheaper(const Sequence& victim) const {
  const StepCost& cost = config_.step_cost;
  const double swap_us = 2 * cost.us_per_swapped_block * kv_.NumBlocks(victim.blocks);
  if (victim.request->pooling == Pooling::kMean) return false;  // what the runner had summed up is gone
  return config_.num_cpu_blocks > 0 && swap_us <= cost.us_per_prefill_token * victim.num_computed;
}

// From the running to its place among the waiting; true: swapped.
bool Scheduler::StepAside(Sequence& sequence) {
  CHECK(sequence.phase == SequencePhase::kRunning);
  BlockTable host = kv_.NewTable();
  const bool swapped = SwapIsCheaper(sequence) && kv_.SwapOut(sequence.blocks, host, copies_);
  Release(sequence);
  sequence.phase = swapped ? SequencePhase::kSwapped : SequencePhase::kWaiting;
  sequence.host_blocks = std::move(host);
  if (!swapped) sequence.num_computed = 0;
  sequence.join_block = -1;
  const auto place =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Sequence* s) { return s->order > sequence.order; });
  waiting_.insert(place, &sequence);
  return swapped;
}

void Scheduler::Preempt(Sequence& victim) {
  CHECK(victim.can_be_preempted());
  counters_.num_swaps += StepAside(victim);
  ++victim.num_preemptions;
  num_protected_waiting_ += !victim.can_be_preempted();
  victim.preempted_step = step_;
  ++counters_.num_preemptions;
}

bool Scheduler::SetPaused(RequestId request, bool paused) {
  const auto it = requests_.find(request);
  if (it == requests_.end() || beams_.contains(request)) return false;
  for (const SequenceId id : it->second) {
    Sequence& sequence = *Find(id);
    sequence.paused = paused;
    if (!paused) continue;
    group_.erase(id);  // a group does not wait for it
    sequence.fork_parent = 0;
    sequence.num_forks = 0;  // its choices may come back in different groups
    if (sequence.phase != SequencePhase::kRunning) continue;
    StepAside(sequence);
    num_protected_waiting_ += !sequence.can_be_preempted();
  }
  return true;
}

// Under kPriority the best waiting request takes the place of running ones of lower priority, if they hold enough for
// it.
void Scheduler::PreemptForPriority() {
  if (config_.policy != SchedulingPolicy::kPriority || config_.batching != BatchingMode::kContinuous) return;
  const Sequence* head = NextCandidate({});
  if (head == nullptr || head->is_beam) return;
  std::vector<Sequence*> victims;
  int yield = kv_.num_available();
  for (Sequence* running : running_) {
    if (running->request->priority <= head->request->priority || !running->can_be_preempted()) continue;
    victims.push_back(running);
    yield += kv_.NumBlocks(running->blocks);
  }
  const int needed = kv_.MaxBlocks(head->num_tokens()) + static_cast<int>(config_.watermark * kv_.num_blocks());
  if (needed > yield) return;
  std::sort(victims.begin(), victims.end(), [&](const Sequence* a, const Sequence* b) { return ServedBefore(*a, *b); });
  while (!victims.empty() && (UsedSlots() >= config_.max_num_seqs || kv_.num_available() < needed)) {
    Preempt(*victims.back());
    victims.pop_back();
  }
}

}  // namespace millrace
