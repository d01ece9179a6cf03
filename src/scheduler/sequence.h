// Sequence: one choice of a request on its way from prompt to last token. Only the scheduler touches it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/ids.h"
#include "core/request.h"
#include "kv_cache/block_table.h"
#include "kv_cache/prefix_cache.h"
#include "scheduler/scheduler_config.h"

namespace millrace {

enum class SequencePhase : uint8_t {
  kWaiting,  // holds no blocks
  kRunning,  // in every step, unless memory or the token budget is short
  kSwapped,  // waiting, with its KV in host blocks
};

// Invariants, between calls of the scheduler:
// 1. num_computed < num_tokens() unless the sequence awaits its end; slots [0, num_computed) are written by submitted
// steps.
// 2. blocks is empty unless running; host_blocks unless swapped.
// 3. num_pending counts the tokens after `tokens` that steps in flight sample; a step is scheduled with at most one.
struct Sequence {
  SequenceId id = 0;
  std::shared_ptr<const Request> request;
  CacheDomain domain;
  int choice_index = 0;
  uint64_t order = 0;  // of submission

  SequencePhase phase = SequencePhase::kWaiting;
  std::vector<TokenId> tokens;  // prompt and generated
  int num_prompt_tokens = 0;
  int max_tokens = 0;          // length at which it ends with kLength
  std::vector<TokenId> draft;  // to be verified by the next row

  BlockTable blocks;
  BlockTable host_blocks;
  int num_computed = 0;
  int rows_in_flight = 0;  // a preempted sequence is admitted again only when this is 0
  int num_pending = 0;
  int pending_output = 0;        // index of the newest pending token among the outputs of its step
  bool draft_in_flight = false;  // the pending row has drafts: how many tokens it adds is not known

  bool is_beam = false;  // of a beam search: runs in lockstep with its siblings, in memory reserved for all of them
  bool paused = false;   // waits until it is resumed
  int num_preemptions = 0;
  int64_t queue_us = -1;               // from arrival to the first admission; -1: not admitted yet
  std::optional<float> sampler_state;  // of the last committed token
  int num_cached_tokens = -1;          // prefix found at the first admission; -1: not admitted yet
  int num_prompt_logprobs = 0;         // prompt positions whose logprobs are submitted
  int64_t timer_us = INT64_MAX;        // when its deadline or queue timeout is looked at next
  int64_t join_block = -1;             // prompt block, computed by another sequence, that this one waits for
  int prefix_hint = 0;                 // cached prefix tokens, as of prefix_hint_step
  uint64_t prefix_hint_step = 0;
  uint64_t last_step = 0;               // last step with a row of it
  uint64_t preempted_step = 0;          // Schedule call that preempted it
  bool at_runner = false;               // the runner keeps sampler state for it
  SequenceId fork_parent = 0;           // waits to share the prompt of this sequence; 0: none
  int num_forks = 0;                    // sequences that wait to share this one's prompt
  std::vector<uint64_t> prompt_hashes;  // chain hash of every full prompt block; empty without prefix caching
  int first_computing = 0;              // prompt blocks [first, last) are announced as being computed
  int last_computing = 0;

  int num_tokens() const { return static_cast<int>(tokens.size()) + num_pending; }
  int num_generated() const { return static_cast<int>(tokens.size()) - num_prompt_tokens; }
  int num_remaining() const { return num_tokens() - num_computed; }
  bool can_be_preempted() const { return !is_beam && num_preemptions < kMaxPreemptions; }
  const SamplingParams& sampling() const { return request->sampling; }
};

}  // namespace millrace
