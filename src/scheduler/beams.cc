// Beam search requests: their beams are sequences that the scheduler forks, continues and drops together, one token at
// a time.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace millrace {

// Beams advance in lockstep, so none may lack memory for long: the whole group's largest need is reserved when the
// first beam starts.
Status Scheduler::CheckBeams(const Request& request, int max_tokens) const {
  const int width = std::max(request.sampling.n, request.sampling.best_of);
  if (width > config_.max_num_seqs) {
    return OutOfRange("n is {}, a beam search needs as many sequences at once, the limit is {} (--max-num-seqs)", width,
                      config_.max_num_seqs);
  }
  const int64_t needed = int64_t{width} * kv_.MaxBlocks(max_tokens);
  if (needed > kv_.num_blocks()) {
    return OutOfRange(
        "n is {}, a beam search over {} tokens needs {} KV blocks for it, there are {} (max_tokens, --kv-cache-bytes)",
        width, max_tokens, needed, kv_.num_blocks());
  }
  return OkStatus();
}

int64_t Scheduler::BlocksOwedToBeams() const {
  int64_t owed = 0;
  for (const auto& [request, group] : beams_) {
    if (!group.started) continue;
    owed += group.reserved_blocks;
    for (SequenceId id : group.live) owed -= kv_.NumBlocks(Find(id)->blocks);
  }
  return std::max<int64_t>(0, owed);
}

// Running sequences, and those that running beam searches may grow to.
int Scheduler::UsedSlots() const {
  int slots = static_cast<int>(running_.size());
  for (const auto& [request, group] : beams_) {
    if (group.started) slots += group.search.width() - static_cast<int>(group.live.size());
  }
  return slots;
}

void Scheduler::AdvanceBeams() {
  std::vector<RequestId> ready;
  for (const auto& [request, group] : beams_) {
    if (!group.live.empty() && group.reports.size() == group.live.size()) ready.push_back(request);
  }
  if (ready.empty()) return;
  std::sort(running_.begin(), running_.end(),
            [&](const Sequence* a, const Sequence* b) { return ServedBefore(*a, *b); });
  for (RequestId request : ready) AdvanceBeamGroup(beams_.at(request));
}

void Scheduler::AdvanceBeamGroup(BeamGroup& group) {
  std::vector<std::vector<TokenLogprob>> tops;
  for (SequenceId id : group.live) tops.push_back(std::move(group.reports.at(id)));
  group.reports.clear();
  const Sequence& any = *Find(group.live.front());
  const std::vector<BeamStep> steps = group.search.Advance(
      tops, [&](TokenId token, int generated) { return EndsSequence(any.sampling(), token, generated); });
  if (steps.empty()) return EndBeams(group, FinishReason::kNone, "");
  std::vector<int> uses(group.live.size(), 0);
  for (const BeamStep& step : steps) ++uses[step.parent];
  const SequenceId survivor = group.live[steps.front().parent];
  for (size_t b = 0; b < group.live.size(); ++b) {
    if (uses[b] == 0) DropBeam(*Find(group.live[b]), *Find(survivor));
  }
  // Forks come before any token is appended: they share the parent as it was. The last use of a parent continues it.
  std::vector<SequenceId> live;
  for (const BeamStep& step : steps) {
    const SequenceId parent = group.live[step.parent];
    live.push_back(--uses[step.parent] > 0 ? ForkBeam(*Find(parent)).id : parent);
  }
  for (size_t b = 0; b < live.size(); ++b) Find(live[b])->tokens.push_back(steps[b].token.token);
  counters_.generation_tokens += static_cast<int64_t>(live.size());
  group.live = std::move(live);
}

void Scheduler::DropBeam(Sequence& beam, Sequence& survivor) {
  if (beam.timer_us != INT64_MAX) {
    timers_.erase({beam.timer_us, beam.id});
    survivor.timer_us = beam.timer_us;
    timers_.insert({survivor.timer_us, survivor.id});
    beam.timer_us = INT64_MAX;
  }
  Remove(beam);
}

Sequence& Scheduler::ForkBeam(Sequence& parent) {
  auto owned = std::make_unique<Sequence>();
  Sequence& child = *owned;
  child.id = next_sequence_++;
  child.request = parent.request;
  child.domain = parent.domain;
  child.order = parent.order;
  child.is_beam = true;
  child.tokens = parent.tokens;
  child.num_prompt_tokens = parent.num_prompt_tokens;
  child.max_tokens = parent.max_tokens;
  child.num_computed = parent.num_computed;
  child.num_cached_tokens = parent.num_cached_tokens;
  child.queue_us = parent.queue_us;
  child.num_prompt_logprobs = parent.num_prompt_logprobs;
  child.host_blocks = kv_.NewTable();
  sequences_.emplace(child.id, std::move(owned));
  requests_.at(child.request->id).push_back(child.id);
  ++TenantOf(child).num_sequences;
  while (!kv_.Fork(parent.blocks, parent.num_computed, child.blocks, copies_)) {
    Sequence* victim = ChooseVictim(parent);
    CHECK(victim != nullptr, "a beam search outgrew its reservation");
    Preempt(*victim);
  }
  child.phase = SequencePhase::kRunning;
  running_.push_back(&child);
  if (config_.batching != BatchingMode::kContinuous) group_.insert(child.id);
  AnnounceToRunner(child);
  return child;
}

// Ends a search: its best hypotheses are the request's choices; with a reason, it failed and there are none.
void Scheduler::EndBeams(BeamGroup& group, FinishReason reason, const std::string& error) {
  const Sequence& any = *Find(group.live.front());
  const std::vector<BeamHypothesis>& hypotheses = group.search.hypotheses();
  const int num_choices = any.sampling().n;
  for (int choice = 0; choice < num_choices; ++choice) {
    SequenceEvent event = NewEvent(any);
    event.sequence = group.root;
    event.choice_index = choice;
    event.finish_reason = reason;
    event.error = error;
    event.request_finished = choice == num_choices - 1;
    if (reason == FinishReason::kNone && choice < static_cast<int>(hypotheses.size())) {
      for (const TokenLogprob& token : hypotheses[choice].tokens) {
        event.tokens.push_back({.token = token.token, .logprob = token.logprob, .rank = token.rank});
      }
      event.finish_reason = hypotheses[choice].reason;
    } else if (reason == FinishReason::kNone) {
      event.finish_reason = FinishReason::kStop;  // the vocabulary is smaller than the search is wide
    }
    events_.push_back(std::move(event));
  }
  const std::vector<SequenceId> ids = group.live;
  for (SequenceId id : ids) Remove(*Find(id));  // with the last one goes the group
}

}  // namespace millrace
