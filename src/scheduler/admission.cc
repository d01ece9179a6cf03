// Admission: which waiting sequences start, and with how many tokens.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace millrace {
namespace {

constexpr int kMaxPrefixHints = 64;  // waiting sequences whose cached prefix is looked up for kLongestPrefixFirst
constexpr int kMaxClaims = 16;       // waiting prompts that the prefill budget is divided among

}  // namespace

int Scheduler::GroupLimit() const {
  return config_.batching == BatchingMode::kDynamic ? std::min(config_.dynamic.max_batch, config_.max_num_seqs)
                                                    : config_.max_num_seqs;
}

// kStatic and kDynamic: chooses who runs next, once the last group has ended.
void Scheduler::FormGroup() {
  if (config_.batching == BatchingMode::kContinuous || !group_.empty()) return;
  std::vector<Sequence*> ready = waiting_;
  std::erase_if(ready, [](const Sequence* sequence) { return sequence->paused; });
  if (ready.empty()) return;
  if (config_.batching == BatchingMode::kDynamic) return FormDynamicGroup(ready);
  SortByService(ready);
  ready.resize(std::min(ready.size(), static_cast<size_t>(GroupLimit())));
  for (const Sequence* sequence : ready) group_.insert(sequence->id);
}

void Scheduler::SortByService(std::vector<Sequence*>& sequences) const {
  std::stable_sort(sequences.begin(), sequences.end(),
                   [&](const Sequence* a, const Sequence* b) { return ServedBefore(*a, *b); });
}

// ready: in the order of submission.
void Scheduler::FormDynamicGroup(const std::vector<Sequence*>& ready) {
  const DynamicBatching& rule = config_.dynamic;
  const Sequence& oldest = *ready.front();
  const double length = oldest.num_prompt_tokens;
  const size_t limit = GroupLimit();
  std::set<SequenceId> similar = {oldest.id};
  std::vector<Sequence*> order = ready;
  SortByService(order);
  for (const Sequence* sequence : order) {
    const double other = sequence->num_prompt_tokens;
    const bool fits = std::max(length, other) <= rule.length_ratio * std::min(length, other);
    if (fits && similar.size() < limit) similar.insert(sequence->id);
  }
  const double fill = static_cast<double>(similar.size()) / static_cast<double>(limit);
  const bool waited = now_us_ - oldest.request->arrival_us >= rule.max_wait_us;
  if (fill < rule.first_fill && !waited) return;
  if (waited && fill < rule.late_fill) {
    for (const Sequence* sequence : ready) {
      if (similar.size() < limit) similar.insert(sequence->id);
    }
  }
  group_ = std::move(similar);
}

int64_t Scheduler::NextWakeUs() const {
  int64_t wake = timers_.empty() ? INT64_MAX : timers_.begin()->first;
  if (config_.batching == BatchingMode::kDynamic && group_.empty() && !waiting_.empty()) {
    wake = std::min(wake, waiting_.front()->request->arrival_us + config_.dynamic.max_wait_us);
  }
  return wake;
}

bool Scheduler::IsCandidate(const Sequence& sequence) const {
  if (sequence.paused || sequence.rows_in_flight > 0 || sequence.preempted_step == step_) return false;
  if (config_.batching != BatchingMode::kContinuous && !group_.contains(sequence.id)) return false;
  const Sequence* parent = Find(sequence.fork_parent);
  if (parent != nullptr && parent->num_generated() == 0 && parent->num_pending == 0) return false;
  return sequence.join_block < 0 || sequence.num_preemptions >= kMaxPreemptions ||
         !computing_.contains(sequence.prompt_hashes[sequence.join_block]);
}

int Scheduler::CachedPrefixHint(Sequence& sequence) {
  if (sequence.prefix_hint_step != step_) {
    sequence.prefix_hint =
        kv_.FindPrefix(sequence.domain, sequence.tokens, sequence.num_prompt_tokens - 1).num_tokens();
    sequence.prefix_hint_step = step_;
  }
  return sequence.prefix_hint;
}

bool Scheduler::PickedBefore(Sequence& a, Sequence& b) {
  const bool a_last = a.num_preemptions >= kMaxPreemptions;
  const bool b_last = b.num_preemptions >= kMaxPreemptions;
  if (a_last != b_last) return a_last;
  const bool a_again = a.num_preemptions > 0;
  const bool b_again = b.num_preemptions > 0;
  switch (config_.policy) {
    case SchedulingPolicy::kFcfs:
      break;
    case SchedulingPolicy::kPriority:
      if (a.request->priority != b.request->priority) return a.request->priority < b.request->priority;
      break;
    case SchedulingPolicy::kLongestPrefixFirst: {
      if (a_again != b_again) return a_again;
      const bool a_late = now_us_ - a.request->arrival_us >= config_.max_skip_us;
      const bool b_late = now_us_ - b.request->arrival_us >= config_.max_skip_us;
      if (a_late != b_late) return a_late;
      if (!a_late && CachedPrefixHint(a) != CachedPrefixHint(b)) return CachedPrefixHint(a) > CachedPrefixHint(b);
      break;
    }
    case SchedulingPolicy::kRoundRobin: {
      if (a_again != b_again) return a_again;
      const Tenant& x = TenantOf(a);
      const Tenant& y = TenantOf(b);
      if (x.last_admission != y.last_admission) return x.last_admission < y.last_admission;
      break;
    }
    case SchedulingPolicy::kFair: {
      if (a_again != b_again) return a_again;
      const Tenant& x = TenantOf(a);
      const Tenant& y = TenantOf(b);
      if (x.service != y.service) return x.service < y.service;
      break;
    }
  }
  return a.order < b.order;
}

Sequence* Scheduler::NextCandidate(const std::set<SequenceId>& skipped) {
  Sequence* best = nullptr;
  int looked_up = 0;
  for (Sequence* sequence : waiting_) {
    if (!IsCandidate(*sequence) || skipped.contains(sequence->id)) continue;
    if (best == nullptr || PickedBefore(*sequence, *best)) best = sequence;
    if (config_.policy == SchedulingPolicy::kFcfs && num_protected_waiting_ == 0)
      break;  // they wait in this very order
    const bool by_prefix = config_.policy == SchedulingPolicy::kLongestPrefixFirst;
    if (by_prefix && sequence->can_be_preempted() && ++looked_up >= kMaxPrefixHints) break;
  }
  return best;
}

// Tokens that the next waiting sequences would compute, so that running prefills leave them a share.
std::vector<int> Scheduler::WaitingClaims(int num_prefills) {
  std::vector<int> claims;
  std::set<SequenceId> seen;
  const int room = std::min(kMaxClaims, config_.max_num_seqs - UsedSlots());
  if (admission_blocked_ || num_prefills >= config_.max_num_partial_prefills) return claims;
  while (static_cast<int>(claims.size()) < room) {
    Sequence* sequence = NextCandidate(seen);
    if (sequence == nullptr) break;
    seen.insert(sequence->id);
    claims.push_back(sequence->num_remaining());
  }
  return claims;
}

void Scheduler::AdmitWaiting(Plan& plan) {
  admission_blocked_ = false;
  const std::vector<int> shares = ChunkPlanner::Split(plan.prefill_budget, WaitingClaims(plan.num_prefills));
  std::set<SequenceId> skipped;
  size_t next_share = 0;
  int unused = 0;  // of the shares so far
  while (UsedSlots() < config_.max_num_seqs && plan.num_prefills < config_.max_num_partial_prefills) {
    Sequence* sequence = NextCandidate(skipped);
    if (sequence == nullptr) return;
    if (next_share < shares.size()) unused += shares[next_share++];
    int num_tokens = std::min({unused, plan.token_budget, sequence->num_remaining()});
    if (num_tokens <= 0) return;
    const Admission admission = TryAdmit(*sequence, num_tokens, plan);
    if (admission == Admission::kBlocked) {
      // Nobody overtakes it, or a large prompt might wait for ever.
      admission_blocked_ = true;
      return;
    }
    if (admission == Admission::kSkipped) {
      skipped.insert(sequence->id);
    } else {
      unused -= num_tokens;
    }
  }
}

// num_tokens: at most so many; at success those of the row.
Scheduler::Admission Scheduler::TryAdmit(Sequence& sequence, int& num_tokens, Plan& plan) {
  PrefixMatch match;
  if (sequence.phase == SequencePhase::kWaiting) {
    int limit = sequence.num_tokens() - 1;
    const bool wants_logprobs = sequence.sampling().prompt_logprobs >= 0 && sequence.choice_index == 0;
    if (wants_logprobs && sequence.num_prompt_logprobs < sequence.num_prompt_tokens - 1) {
      limit = std::min(limit, sequence.num_prompt_logprobs);  // the other positions' logits are still wanted
    }
    if (sequence.request->pooling == Pooling::kMean) limit = 0;  // every token's state is wanted
    match = kv_.FindPrefix(sequence.domain, sequence.tokens, limit);
    // Blocks that others are computing right now: wait for the last of them. A protected sequence waits for nobody.
    const int end = std::min(limit / kKvBlockTokens, static_cast<int>(sequence.prompt_hashes.size()));
    int joined = match.num_blocks();
    while (joined < end && computing_.contains(sequence.prompt_hashes[joined])) ++joined;
    if (joined > match.num_blocks() && sequence.num_preemptions < kMaxPreemptions) {
      sequence.join_block = joined - 1;
      return Admission::kSkipped;
    }
  }
  if (!FitsInMemory(sequence, match, plan)) return Admission::kBlocked;
  // A lone sequence in a tight pool may need the very blocks that it would share: then it computes them again.
  if (!TakeBlocks(sequence, match, num_tokens, plan) && !TakeBlocks(sequence, {}, num_tokens, plan))
    return Admission::kBlocked;
  StartRunning(sequence);
  AppendRow(sequence, num_tokens, plan);
  plan.num_prefills += sequence.num_remaining() > 1;
  const int length = sequence.can_be_preempted() ? sequence.num_tokens() : sequence.max_tokens;
  plan.reserved_blocks += std::max(0, kv_.MaxBlocks(length) - kv_.NumBlocks(sequence.blocks));
  return Admission::kAdmitted;
}

bool Scheduler::FitsInMemory(const Sequence& sequence, const PrefixMatch& match, const Plan& plan) const {
  if (sequence.is_beam) {
    const BeamGroup& group = beams_.at(sequence.request->id);
    if (UsedSlots() + group.search.width() > config_.max_num_seqs) return false;
    if (protected_blocks_ + group.reserved_blocks > kv_.num_blocks()) return false;
  } else if (!sequence.can_be_preempted() &&
             protected_blocks_ + kv_.MaxBlocks(sequence.max_tokens) > kv_.num_blocks()) {
    return false;
  }
  if (running_.empty()) return true;
  int shared = 0;
  for (const KvGroupSpec& group : kv_.groups()) {
    if (group.kind == KvGroupKind::kFull || group.kind == KvGroupKind::kLatent) shared += match.num_blocks();
  }
  const int64_t needed = kv_.MaxBlocks(sequence.num_tokens()) - shared + match.num_idle_blocks;
  const auto watermark = static_cast<int64_t>(config_.watermark * kv_.num_blocks());
  return needed + watermark + plan.reserved_blocks <= kv_.num_available();
}

// Gives a waiting sequence its KV (cached, swapped or none) and room for a row of num_tokens or fewer.
bool Scheduler::TakeBlocks(Sequence& sequence, const PrefixMatch& match, int& num_tokens, Plan& plan) {
  const size_t num_copies = copies_.size();
  const bool swapped = sequence.phase == SequencePhase::kSwapped;
  if (swapped) {
    if (kv_.num_available() <
        kv_.NumBlocks(sequence.host_blocks) + kv_.BlocksToExtend(sequence.host_blocks, sequence.num_computed + 1)) {
      return false;
    }
    CHECK(kv_.SwapIn(sequence.host_blocks, sequence.blocks, copies_));
  } else {
    sequence.num_computed = kv_.TakePrefix(match, sequence.blocks, copies_);
  }
  num_tokens = std::min(num_tokens, sequence.num_remaining());
  if (ReserveRow(sequence, num_tokens, plan)) {
    plan.memory_short = false;
    return true;
  }
  CHECK(!swapped, "a swapped sequence came back without room for one token");
  sequence.blocks = kv_.NewTable();
  sequence.num_computed = 0;
  copies_.resize(num_copies);
  return false;
}

void Scheduler::StartRunning(Sequence& sequence) {
  std::erase(waiting_, &sequence);
  running_.push_back(&sequence);
  sequence.phase = SequencePhase::kRunning;
  sequence.join_block = -1;
  if (sequence.queue_us < 0) sequence.queue_us = std::max<int64_t>(0, now_us_ - sequence.request->arrival_us);
  if (sequence.is_beam) {
    BeamGroup& group = beams_.at(sequence.request->id);
    group.started = true;
    protected_blocks_ += group.reserved_blocks;
  } else if (!sequence.can_be_preempted()) {
    protected_blocks_ += kv_.MaxBlocks(sequence.max_tokens);
    --num_protected_waiting_;
  }
  if (config_.batching != BatchingMode::kContinuous) group_.insert(sequence.id);
  if (sequence.num_cached_tokens < 0) {
    sequence.num_cached_tokens = sequence.num_computed;
    counters_.prefix_cache_queries += sequence.num_prompt_tokens;
    counters_.prefix_cache_hits += sequence.num_computed;
    counters_.prompt_tokens += sequence.num_prompt_tokens;
  }
  Announce(sequence, sequence.num_computed / kKvBlockTokens);
  TenantOf(sequence).last_admission = next_order_++;
  AnnounceToRunner(sequence);
}

void Scheduler::AnnounceToRunner(Sequence& sequence) {
  sequence.at_runner = true;
  started_.push_back({.sequence = sequence.id,
                      .choice_index = sequence.choice_index,
                      .sampling = std::shared_ptr<const SamplingParams>(sequence.request, &sequence.request->sampling),
                      .token_ids = sequence.tokens,
                      .num_prompt_tokens = sequence.num_prompt_tokens,
                      .sampler_state = sequence.sampler_state});
}

}  // namespace millrace
