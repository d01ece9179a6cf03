// SchedulerConfig: everything that shapes batches. Option names are vLLM's where vLLM has the option.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "core/ids.h"
#include "core/kv_spec.h"

namespace millrace {

// Who is admitted first. Preempted sequences go before new ones of the same standing, and one that can't be preempted
// again before all.
enum class SchedulingPolicy : uint8_t {
  kFcfs,                // first come, first served
  kPriority,            // lower Request::priority first, then arrival
  kLongestPrefixFirst,  // the longest cached prefix first; after max_skip_us of waiting, arrival
  kRoundRobin,          // tenants in turn; running sequences in turn when the token budget is short
  kFair,                // the tenant with the least service first: virtual token counter (Sheng et al., OSDI'24)
};

// Who gives up its blocks when memory is short, among those that are served after the one in need.
enum class VictimPolicy : uint8_t {
  kLatest,          // the last in order of service
  kLowestPriority,  // the highest Request::priority, then the last
  kLeastGenerated,  // the fewest generated tokens, then the last
  kWaitingScore,    // the highest waiting time / (max(priority, 1) x max(generated, 1))
};

enum class BatchingMode : uint8_t {
  kContinuous,  // sequences join and leave at every step
  kStatic,      // a batch of what waits, up to max_num_seqs; the next one when all have ended
  kDynamic,  // groups of similar prompt lengths, formed while they wait (DynamicBatching); the next one when all have
             // ended
};

// A group starts when it is first_fill full, or when its oldest request has waited max_wait_us. Members' prompt lengths
// lie within length_ratio of the oldest's, both ways; a group less than late_fill full after the wait takes the next
// oldest of any length, so nothing waits for ever.
struct DynamicBatching {
  int max_batch = 64;
  int64_t max_wait_us = 200'000;
  double length_ratio = 1.3;
  double first_fill = 0.8;
  double late_fill = 0.5;
};

// What a step costs, as measured by a benchmark; 0: unknown. Only ratios and first guesses depend on it: measured step
// times correct it.
struct StepCost {
  double us_per_step = 0;
  double us_per_prefill_token = 0;
  double us_per_decode_row = 0;
  double us_per_swapped_block = 0;  // one way
};

struct SchedulerConfig {
  int max_num_seqs = 128;             // running at once
  int max_num_batched_tokens = 2048;  // tokens per step
  int max_model_len = 4096;           // prompt and generated tokens of a sequence
  int max_num_waiting = 4096;         // sequences in the queue; Submit refuses beyond
  int max_num_partial_prefills = 4;   // sequences amid their prefill at once
  bool enable_prefix_caching = true;

  std::vector<KvGroupSpec> kv_groups;
  int num_gpu_blocks = 0;   // blocks of the KV pool, whatever the device
  int num_cpu_blocks = 0;   // host blocks to swap to; 0: preemption recomputes
  double watermark = 0.01;  // part of the pool kept free when a sequence is admitted
  double max_tenant_cache_fraction = 1.0;
  double max_pinned_cache_fraction = 0.5;
  int recurrent_checkpoint_tokens =
      512;  // states of recurrent groups are kept every so many tokens, and at the end of the prompt

  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  VictimPolicy victim_policy = VictimPolicy::kLatest;
  BatchingMode batching = BatchingMode::kContinuous;
  DynamicBatching dynamic;
  int64_t max_skip_us = 2'000'000;  // kLongestPrefixFirst

  // The chunk of prefill in a step with decodes shrinks and grows so that the step takes this long; 0: the token budget
  // alone decides.
  int64_t target_inter_token_us = 0;
  StepCost step_cost;

  int num_speculative_tokens =
      0;  // draft tokens per sequence and step at most; > 0: a sequence waits for its last token before its next row
  // Tokens that a grammar leaves no choice about, per sequence and step at most: verified like drafts, but a sequence
  // waits for its last token only while a row of it has some.
  int num_forced_tokens = 0;
  std::vector<TokenId> eos_token_ids;
};

// Preemptions of one sequence at most; after the last it is admitted only with memory for all it can become.
inline constexpr int kMaxPreemptions = 4;

// The message names the option, its value and what it should be.
Status ValidateSchedulerConfig(const SchedulerConfig& config);

// What the options --scheduling-policy, --preemption-policy and --batching name.
Result<SchedulingPolicy> ParseSchedulingPolicy(std::string_view name);
Result<VictimPolicy> ParseVictimPolicy(std::string_view name);
Result<BatchingMode> ParseBatchingMode(std::string_view name);

// Sets the options that `--mode low-latency | balanced | high-throughput` stands for.
Status ApplySchedulerPreset(std::string_view mode, SchedulerConfig& config);

}  // namespace millrace
