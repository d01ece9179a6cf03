// Scheduler: decides what every step computes. Deterministic: no clock, thread, device or I/O inside; the same calls
// give the same batches.
//
// Use, by one thread:
//   Scheduler scheduler(config);                          // config passed ValidateSchedulerConfig
//   scheduler.Submit(request);                            // refused: an error for the client
//   Batch batch = scheduler.Schedule(now_us);             // no rows: nothing to run now
//   runner.Submit(batch); ... StepResult result = ...;    // in the order of scheduling; a batch without rows is not
//   submitted for (SequenceEvent& e : scheduler.Commit(result, step_time_us)) ...  // new tokens, ends
// A second Schedule may come before the Commit of the first, so that the next batch is built while a step runs; never a
// third. Then commit and schedule alternate. Steps run and are committed in the order of scheduling; a batch's copies
// come after all writes of the batch before it and before its own, in their order. Token ids of -1 - o stand for what
// output o of the batch before samples. Schedule may end sequences itself (deadlines): TakeEvents returns these;
// Commit's events include them too.
//
// Progress: a sequence is preempted at most kMaxPreemptions times and then admitted only with its largest need
// reserved; sequences so protected are served first and never wait for others, so each ends, and with it every sequence
// that waits for memory moves up.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "core/batch.h"
#include "core/request.h"
#include "kv_cache/kv_cache.h"
#include "scheduler/beam_search.h"
#include "scheduler/chunk_planner.h"
#include "scheduler/scheduler_config.h"
#include "scheduler/sequence.h"

namespace millrace {

// What happened to one sequence since the last event.
struct SequenceEvent {
  RequestId request = 0;
  SequenceId sequence = 0;
  int choice_index = 0;
  std::vector<OutputResult> tokens;           // new ones in order, the end token included
  std::vector<OutputResult> prompt_logprobs;  // of prompt tokens 1, 2, ...; several events may carry parts, in order
  std::vector<float> embedding;               // of a request with pooling, in its only event
  FinishReason finish_reason = FinishReason::kNone;  // not kNone: the last event of this sequence
  std::string error;                                 // with kError and kTimeout
  int64_t queue_us = -1;                             // from arrival to the first row; -1: none yet
  StatusCode error_code =
      StatusCode::kInternal;      // with kError: kInvalidArgument and the like when the request itself was refused
  int num_cached_tokens = 0;      // prompt tokens found in the prefix cache
  bool request_finished = false;  // this was the request's last sequence
};

struct SchedulerStats {
  int num_waiting = 0;  // without the paused
  int num_paused = 0;
  int num_swapped = 0;
  int num_running = 0;
  KvCacheStats kv;
  double kv_usage = 0;               // blocks in use / all
  int64_t kv_wasted_slots = 0;       // allocated token slots without a token, in all paged groups
  double kv_waste = 0;               // of the slots of blocks in use
  int kv_worst_waste = 0;            // slots without a token that one sequence holds in one group; at most 15
  int64_t prefix_cache_queries = 0;  // tokens looked up at first admissions
  int64_t prefix_cache_hits = 0;     // tokens found
  int64_t num_preemptions = 0;
  int64_t num_swaps = 0;        // preemptions that swapped
  int64_t prompt_tokens = 0;    // computed or found, of admitted sequences
  int64_t computed_tokens = 0;  // in all rows; recomputed ones count again
  int64_t generation_tokens = 0;
  int64_t draft_tokens = 0;
  int64_t accepted_draft_tokens = 0;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);
  ~Scheduler();

  // Whether the request could ever run here: its lengths, its beams, its priority. kOutOfRange or kInvalidArgument says
  // why not. Any thread: reads nothing that changes.
  Status CheckFits(const Request& request) const;
  // Queues best_of (or n) sequences. kResourceExhausted: the queue is full. The request must have passed
  // ValidateSamplingParams. Returns their ids in the order of choice; for beam search one id, which the n events at the
  // end of the search carry (by choice_index, best first; nothing is reported before).
  Result<std::vector<SequenceId>> Submit(std::shared_ptr<const Request> request);
  // Ends all sequences of a request; false when it has none (any more). No event follows.
  bool Abort(RequestId request);
  // Ends one sequence, e.g. for a stop string; its computed blocks stay cached. False when it ended already. No event
  // follows.
  bool FinishEarly(SequenceId sequence);
  // A paused request computes nothing and holds no blocks, but for what the prefix cache has room to keep; its deadline
  // counts on. Not counted as a preemption: nobody else caused it. False: the request has ended, or is a beam search,
  // which is never paused.
  bool SetPaused(RequestId request, bool paused);
  // Draft tokens to be verified by the sequence's next row, after a token that a step in flight samples for it; as many
  // are kept as num_speculative_tokens or num_forced_tokens allows. Their outputs are judged at Commit: a draft token
  // is accepted when it is equal to what was sampled in its place. Replaces what was set before.
  void SetDraft(SequenceId sequence, std::vector<TokenId> draft);

  Batch Schedule(int64_t now_us);
  // step_time_us steers the prefill chunk; 0: not measured.
  std::vector<SequenceEvent> Commit(const StepResult& result, int64_t step_time_us = 0);
  // The oldest step in flight failed as a whole: every request with a row in it ends with kError, and what the step
  // computed is not cached.
  std::vector<SequenceEvent> CommitFailed(uint64_t step_id, const std::string& error);
  std::vector<SequenceEvent> TakeEvents() { return std::exchange(events_, {}); }

  // Keeps the cached full blocks of a prompt until then; returns the tokens kept.
  int PinPrefix(const CacheDomain& domain, std::span<const TokenId> tokens, int64_t until_us) {
    return kv_.Pin(domain, tokens, until_us);
  }
  // Tokens of a prompt that are cached now, for routing.
  int CachedPrefix(const CacheDomain& domain, std::span<const TokenId> tokens) const {
    return kv_.FindPrefix(domain, tokens, static_cast<int>(tokens.size())).num_tokens();
  }

  // Saving and restoring a prompt's KV, with no step in flight. Tables must be gone before the next Schedule.
  // The cached full blocks of a prompt's beginning, without its last token; *num_tokens is their length.
  BlockTable HoldPrefix(const CacheDomain& domain, std::span<const TokenId> prompt, int* num_tokens);
  // Blocks for so many tokens; kResourceExhausted when the pool is short.
  Result<BlockTable> AllocatePrefix(int num_tokens);
  // Offers blocks that the caller has filled to the prefix cache. tokens: whole blocks.
  void EnterPrefix(const CacheDomain& domain, std::span<const TokenId> tokens, BlockTable& table) {
    kv_.InsertPrefix(domain, tokens, table, {});
  }

  // When Schedule should be called next though nothing runs and nothing new came: a timeout or a waiting group.
  // INT64_MAX: never.
  int64_t NextWakeUs() const;
  // Forgets the cached prefixes that nobody uses.
  void DropCachedPrefixes() { kv_.DropCached(); }
  bool idle() const { return sequences_.empty() && in_flight_.empty(); }
  int num_steps_in_flight() const { return static_cast<int>(in_flight_.size()); }
  const SchedulerConfig& config() const { return config_; }
  // Longest sequence served: max_model_len, or what the pool holds.
  int max_sequence_tokens() const { return std::min(config_.max_model_len, kv_.MaxTokens()); }
  SchedulerStats stats() const;
  // Recounts blocks, queues and reservations; empty when all invariants hold. For tests and idle checks: linear in
  // everything.
  std::string DescribeError();

 private:
  struct Row {
    SequenceId sequence = 0;
    int context = 0;
    int num_tokens = 0;
    std::vector<TokenId> draft;  // the row's last tokens
    int sample_output = -1;      // first sampled output; one more than draft tokens; -1: none
    int prompt_output = -1;      // first prompt logprob output
    int num_prompt_outputs = 0;
    std::vector<std::vector<BlockRef>> state;  // checkpoint after the row, by group; empty: none
  };
  struct Step {
    uint64_t id = 0;
    int num_outputs = 0;
    int num_decode_tokens = 0;
    int num_prefill_tokens = 0;
    std::vector<Row> rows;
  };
  struct Tenant {
    int num_sequences = 0;
    double service = 0;           // kFair: weighted tokens served
    uint64_t last_admission = 0;  // kRoundRobin
  };
  // A beam search request. Its beams are protected as a group.
  struct BeamGroup {
    BeamSearch search;
    SequenceId root = 0;
    std::vector<SequenceId> live;                             // in the order of the search's beams
    std::map<SequenceId, std::vector<TokenLogprob>> reports;  // of the beams whose step is committed
    int64_t reserved_blocks = 0;
    bool started = false;
  };
  // What is left of the step being built.
  struct Plan {
    Batch batch;
    Step step;
    int token_budget = 0;
    int prefill_budget = 0;
    int64_t reserved_blocks = 0;  // that running prefills still need
    int num_prefills = 0;
    bool memory_short = false;
  };

  // scheduler.cc
  int MaxTokens(const Request& request) const;
  Sequence& NewSequence(const std::shared_ptr<const Request>& request, int choice);
  void JoinTenant(const Request& request, int num_sequences);
  Sequence* Find(SequenceId id) const;
  void Release(Sequence& sequence);
  void Remove(Sequence& sequence);
  void Finish(Sequence& sequence, SequenceEvent event, FinishReason reason, std::string error);
  SequenceEvent NewEvent(const Sequence& sequence) const;
  void ExpireDeadlines();
  void Announce(Sequence& sequence, int first_block);
  void Withdraw(Sequence& sequence, int end_block);
  Tenant& TenantOf(const Sequence& sequence) { return tenants_.at(sequence.request->tenant); }

  // schedule_step.cc
  bool ServedBefore(const Sequence& a, const Sequence& b) const;
  bool CanRun(const Sequence& sequence) const;
  void ScheduleRunning(Plan& plan);
  void ServeRunning(Sequence& sequence, int num_tokens, Plan& plan);
  int AlignChunk(const Sequence& sequence, int num_tokens) const;
  bool ReserveRow(Sequence& sequence, int& num_tokens, Plan& plan);
  void AppendRow(Sequence& sequence, int num_tokens, Plan& plan);
  void AppendOutputs(Sequence& sequence, Plan& plan, Row& row);
  void ForkChildren(Sequence& parent, Plan& plan);
  void KeepState(const Sequence& sequence, Row& row) const;

  // admission.cc
  void FormGroup();
  void FormDynamicGroup(const std::vector<Sequence*>& ready);
  void SortByService(std::vector<Sequence*>& sequences) const;
  int GroupLimit() const;
  bool IsCandidate(const Sequence& sequence) const;
  bool PickedBefore(Sequence& a, Sequence& b);
  Sequence* NextCandidate(const std::set<SequenceId>& skipped);
  std::vector<int> WaitingClaims(int num_prefills);
  int CachedPrefixHint(Sequence& sequence);
  void AdmitWaiting(Plan& plan);
  enum class Admission { kAdmitted, kSkipped, kBlocked };
  Admission TryAdmit(Sequence& sequence, int& num_tokens, Plan& plan);
  bool FitsInMemory(const Sequence& sequence, const PrefixMatch& match, const Plan& plan) const;
  bool TakeBlocks(Sequence& sequence, const PrefixMatch& match, int& num_tokens, Plan& plan);
  void StartRunning(Sequence& sequence);

  void AnnounceToRunner(Sequence& sequence);

  // beams.cc
  Status CheckBeams(const Request& request, int max_tokens) const;
  int64_t BlocksOwedToBeams() const;
  int UsedSlots() const;
  void AdvanceBeams();
  void AdvanceBeamGroup(BeamGroup& group);
  void DropBeam(Sequence& beam, Sequence& survivor);
  Sequence& ForkBeam(Sequence& parent);
  void EndBeams(BeamGroup& group, FinishReason reason, const std::string& error);

  // preemption.cc
  Sequence* ChooseVictim(const Sequence& in_need) const;
  void Preempt(Sequence& victim);
  bool StepAside(Sequence& sequence);
  void PreemptForPriority();
  bool SwapIsCheaper(const Sequence& victim) const;

  // commit.cc
  void CommitRow(const Row& row, const StepResult& result);
  int AcceptTokens(Sequence& sequence, const Row& row, const StepResult& result, SequenceEvent& event);
  void ReportBeam(Sequence& beam, const OutputResult& output, SequenceEvent& event);
  FinishReason StopAfter(const Sequence& sequence) const;
  bool EndsSequence(const SamplingParams& sampling, TokenId token, int generated) const;

  const SchedulerConfig config_;
  KvCache kv_;
  ChunkPlanner planner_;

  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::unordered_map<RequestId, std::vector<SequenceId>> requests_;  // sequences that have not ended
  std::map<RequestId, BeamGroup> beams_;
  std::vector<Sequence*> waiting_;  // in the order of submission
  std::vector<Sequence*> running_;
  std::deque<Step> in_flight_;             // at most 2
  std::map<std::string, Tenant> tenants_;  // those with sequences
  std::set<std::pair<int64_t, SequenceId>> timers_;
  std::unordered_map<uint64_t, int>
      computing_;  // prompt blocks that running sequences are about to cache, by chain hash

  std::vector<BlockCopy> copies_;       // for the next batch
  std::vector<SequenceStart> started_;  // for the next batch
  std::vector<SequenceId> finished_;    // for the next batch
  std::vector<SequenceEvent> events_;
  SequenceId next_sequence_ = 1;
  uint64_t next_order_ = 1;
  uint64_t step_ = 0;  // id of the step being built or last built
  int64_t now_us_ = 0;
  int64_t protected_blocks_ = 0;  // reserved by running sequences that can't be preempted
  int num_protected_waiting_ = 0;
  bool admission_blocked_ = false;  // the last attempt to admit failed for memory
  std::set<SequenceId> group_;      // kStatic, kDynamic: the sequences that may run now
  SchedulerStats counters_;
};

}  // namespace millrace
