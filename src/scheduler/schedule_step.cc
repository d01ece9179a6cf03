// Schedule: the rows of one step.
#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"
#include "scheduler/scheduler.h"

namespace millrace {

Batch Scheduler::Schedule(int64_t now_us) {
  CHECK_LE(in_flight_.size(), size_t{1});
  now_us_ = std::max(now_us, now_us_);
  ++step_;
  kv_.AdvanceTime(now_us_);
  ExpireDeadlines();
  FormGroup();
  AdvanceBeams();
  PreemptForPriority();
  Plan plan;
  plan.batch.step_id = plan.step.id = step_;
  plan.batch.query_start = {0};
  plan.token_budget = config_.max_num_batched_tokens;
  ScheduleRunning(plan);
  plan.reserved_blocks += BlocksOwedToBeams();
  if (!plan.memory_short) AdmitWaiting(plan);
  for (const Row& row : plan.step.rows) kv_.EndStep(Find(row.sequence)->blocks);
  if (plan.batch.num_rows() == 0) return std::move(plan.batch);
  plan.batch.started = std::exchange(started_, {});
  plan.batch.finished = std::exchange(finished_, {});
  plan.batch.copies = std::exchange(copies_, {});
  plan.step.num_outputs = static_cast<int>(plan.batch.outputs.size());
  in_flight_.push_back(std::move(plan.step));
  return std::move(plan.batch);
}

bool Scheduler::ServedBefore(const Sequence& a, const Sequence& b) const {
  if (a.can_be_preempted() != b.can_be_preempted()) return !a.can_be_preempted();
  if (config_.policy == SchedulingPolicy::kPriority && a.request->priority != b.request->priority) {
    return a.request->priority < b.request->priority;
  }
  if (config_.policy == SchedulingPolicy::kRoundRobin && a.last_step != b.last_step) return a.last_step < b.last_step;
  return a.order < b.order;
}

bool Scheduler::CanRun(const Sequence& sequence) const {
  if (sequence.num_tokens() >= sequence.max_tokens && sequence.num_pending > 0) return false;
  if (sequence.num_remaining() <= 0) return false;  // a beam whose next token depends on the others
  const bool waits = config_.num_speculative_tokens > 0 || sequence.is_beam || sequence.draft_in_flight;
  return !waits || sequence.num_pending == 0;
}

void Scheduler::ScheduleRunning(Plan& plan) {
  std::sort(running_.begin(), running_.end(),
            [&](const Sequence* a, const Sequence* b) { return ServedBefore(*a, *b); });
  std::vector<std::pair<Sequence*, int>> rows;  // in the order of service, with the tokens wished for
  std::vector<int> claims;
  int decode_tokens = 0;
  for (Sequence* sequence : running_) {
    if (!CanRun(*sequence)) continue;
    if (sequence->num_remaining() > 1) {
      rows.emplace_back(sequence, 0);
      claims.push_back(sequence->num_remaining());
    } else {
      rows.emplace_back(sequence, 1 + static_cast<int>(sequence->draft.size()));
      decode_tokens += rows.back().second;
    }
  }
  plan.prefill_budget = planner_.PrefillBudget(decode_tokens);
  for (int claim : WaitingClaims(static_cast<int>(claims.size()))) claims.push_back(claim);
  const std::vector<int> shares = ChunkPlanner::Split(plan.prefill_budget, claims);
  size_t next_share = 0;
  for (auto& [sequence, num_tokens] : rows) {
    if (num_tokens == 0) num_tokens = shares[next_share++];
  }
  for (auto& [sequence, num_tokens] : rows) {
    if (sequence->phase == SequencePhase::kRunning) ServeRunning(*sequence, num_tokens, plan);
  }
}

void Scheduler::ServeRunning(Sequence& sequence, int num_tokens, Plan& plan) {
  ForkChildren(sequence, plan);
  num_tokens = std::min(num_tokens, plan.token_budget);
  if (num_tokens > 0 && ReserveRow(sequence, num_tokens, plan)) AppendRow(sequence, num_tokens, plan);
  const bool is_protected = !sequence.can_be_preempted();
  const bool in_prefill = sequence.num_remaining() > 1;
  plan.num_prefills += in_prefill;
  if ((!in_prefill && !is_protected) || sequence.is_beam) return;
  const int length = is_protected ? sequence.max_tokens : sequence.num_tokens();
  plan.reserved_blocks += std::max(0, kv_.MaxBlocks(length) - kv_.NumBlocks(sequence.blocks));
}

// Where a chunk ends: before the last prompt token while others wait to fork there; in models with recurrent state, on
// the positions whose state is kept.
int Scheduler::AlignChunk(const Sequence& sequence, int num_tokens) const {
  const int begin = sequence.num_computed;
  int end = begin + num_tokens;
  const int last_prompt = sequence.num_prompt_tokens - 1;
  if (sequence.num_forks > 0 && begin < last_prompt) end = std::min(end, last_prompt);
  if (!kv_.has_recurrent() || !config_.enable_prefix_caching) return end - begin;
  const int interval = config_.recurrent_checkpoint_tokens / kKvBlockTokens * kKvBlockTokens;
  const int last_boundary = last_prompt / kKvBlockTokens * kKvBlockTokens;
  int boundary = RoundUp(begin + 1, interval);
  if (last_boundary > begin) boundary = std::min(boundary, last_boundary);
  return std::min(end, boundary) - begin;
}

// Finds blocks for a row, from the free, the cached, then the sequences served later; shrinks the row when that is all
// there is.
bool Scheduler::ReserveRow(Sequence& sequence, int& num_tokens, Plan& plan) {
  kv_.FreeOutsideWindow(sequence.blocks, sequence.num_computed);
  num_tokens = AlignChunk(sequence, num_tokens);
  while (!kv_.Extend(sequence.blocks, sequence.num_computed + num_tokens)) {
    plan.memory_short = true;
    if (Sequence* victim = ChooseVictim(sequence); victim != nullptr) {
      Preempt(*victim);
    } else if (num_tokens > 1) {
      num_tokens = AlignChunk(sequence, num_tokens / 2);
    } else {
      return false;
    }
  }
  return true;
}

void Scheduler::AppendRow(Sequence& sequence, int num_tokens, Plan& plan) {
  Batch& batch = plan.batch;
  const int known = static_cast<int>(sequence.tokens.size());
  CHECK_LE(sequence.num_pending, 1);
  Row row;
  row.sequence = sequence.id;
  row.context = sequence.num_computed;
  row.num_tokens = num_tokens;
  const bool decode = sequence.num_remaining() == 1;
  const int num_drafts = std::max(0, sequence.num_computed + num_tokens - sequence.num_tokens());
  row.draft.assign(sequence.draft.begin(), sequence.draft.begin() + num_drafts);
  sequence.draft.clear();
  sequence.draft_in_flight = num_drafts > 0;

  batch.sequences.push_back(sequence.id);
  batch.context_len.push_back(row.context);
  batch.adapter_index.push_back(sequence.request->adapter);
  for (int position = row.context; position < row.context + num_tokens; ++position) {
    TokenId token = -1 - sequence.pending_output;
    if (position < known) token = sequence.tokens[position];
    if (position >= sequence.num_tokens()) token = row.draft[position - sequence.num_tokens()];
    batch.token_ids.push_back(token);
    batch.positions.push_back(position);
  }
  batch.query_start.push_back(batch.num_tokens());
  kv_.AppendRow(sequence.blocks, row.context + num_tokens, batch.groups);
  AppendOutputs(sequence, plan, row);
  KeepState(sequence, row);

  sequence.num_computed += num_tokens;
  sequence.last_step = step_;
  ++sequence.rows_in_flight;
  plan.token_budget -= num_tokens;
  (decode ? plan.step.num_decode_tokens : plan.step.num_prefill_tokens) += num_tokens;
  if (!decode) plan.prefill_budget -= num_tokens;
  // An output token costs about two input tokens (the weights of the paper).
  TenantOf(sequence).service += num_tokens + (row.sample_output >= 0 ? 2 : 0);
  counters_.computed_tokens += num_tokens;
  counters_.draft_tokens += num_drafts;
  plan.step.rows.push_back(std::move(row));
}

void Scheduler::AppendOutputs(Sequence& sequence, Plan& plan, Row& row) {
  Batch& batch = plan.batch;
  const int row_index = batch.num_rows() - 1;
  const int first_token = batch.query_start[row_index];
  const int end = row.context + row.num_tokens;
  const auto add = [&](int position, bool sample, TokenId target) {
    batch.outputs.push_back({.token_index = first_token + position - row.context,
                             .row = row_index,
                             .sample = sample,
                             .target = target,
                             .num_logprobs = sample ? 0 : std::max(0, sequence.sampling().prompt_logprobs),
                             .output_position = position + 1});
  };
  if (const Pooling pooling = sequence.request->pooling; pooling != Pooling::kNone) {
    const bool last = end == sequence.num_tokens();
    if (!last && pooling == Pooling::kLast) return;
    add(end - 1, last, -1);
    batch.outputs.back().pooling = pooling;
    if (!last) return;
    row.sample_output = sequence.pending_output = static_cast<int>(batch.outputs.size()) - 1;
    ++sequence.num_pending;
    return;
  }
  if (sequence.sampling().prompt_logprobs >= 0 && sequence.choice_index == 0) {
    row.prompt_output = static_cast<int>(batch.outputs.size());
    for (int p = std::max(row.context, sequence.num_prompt_logprobs); p < std::min(end, sequence.num_prompt_tokens - 1);
         ++p) {
      add(p, false, sequence.tokens[p + 1]);
      ++row.num_prompt_outputs;
      sequence.num_prompt_logprobs = p + 1;
    }
  }
  const int num_drafts = static_cast<int>(row.draft.size());
  if (end - num_drafts != sequence.num_tokens()) return;
  row.sample_output = static_cast<int>(batch.outputs.size());
  for (int i = 0; i <= num_drafts; ++i) add(end - num_drafts - 1 + i, true, -1);
  sequence.pending_output = row.sample_output;
  ++sequence.num_pending;
}

// Holds the state after the row, when the row ends where states are kept: the next row then writes elsewhere.
void Scheduler::KeepState(const Sequence& sequence, Row& row) const {
  if (!kv_.has_recurrent() || !config_.enable_prefix_caching) return;
  const int end = row.context + row.num_tokens;
  const int interval = config_.recurrent_checkpoint_tokens / kKvBlockTokens * kKvBlockTokens;
  const int last_boundary = (sequence.num_prompt_tokens - 1) / kKvBlockTokens * kKvBlockTokens;
  if (end % interval != 0 && end != last_boundary) return;
  row.state.resize(sequence.blocks.groups.size());
  for (size_t g = 0; g < row.state.size(); ++g) {
    if (kv_.groups()[g].kind == KvGroupKind::kRecurrent) row.state[g] = sequence.blocks.groups[g].blocks;
  }
}

// At its last prompt token a sequence shares what it computed with the choices that wait for it; each then computes
// that token for itself.
void Scheduler::ForkChildren(Sequence& parent, Plan& plan) {
  if (parent.num_forks == 0 || parent.num_computed < parent.num_prompt_tokens - 1) return;
  const bool at_fork = parent.num_computed == parent.num_prompt_tokens - 1;
  const std::vector<Sequence*> candidates = waiting_;
  bool room = at_fork;
  for (Sequence* child : candidates) {
    if (child->fork_parent != parent.id) continue;
    child->fork_parent = 0;
    room = room && UsedSlots() < config_.max_num_seqs && plan.token_budget > 1 && child->can_be_preempted();
    if (!room) continue;
    const size_t num_copies = copies_.size();
    int num_tokens = 1;
    room = kv_.Fork(parent.blocks, parent.num_computed, child->blocks, copies_);
    if (!room) continue;
    child->num_computed = parent.num_computed;
    if (!ReserveRow(*child, num_tokens, plan)) {
      child->blocks = kv_.NewTable();
      child->num_computed = 0;
      copies_.resize(num_copies);
      room = false;
      continue;
    }
    child->num_cached_tokens = parent.num_cached_tokens;
    StartRunning(*child);
    AppendRow(*child, num_tokens, plan);
  }
  parent.num_forks = 0;
}

}  // namespace millrace
