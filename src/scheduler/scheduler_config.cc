#include "scheduler/scheduler_config.h"

namespace millrace {
namespace {

Status CheckAtLeast(const char* option, int64_t value, int64_t least) {
  if (value >= least) return OkStatus();
  return InvalidArgument("{} is {}, expected at least {}", option, value, least);
}

Status CheckFraction(const char* option, double value) {
  if (value >= 0 && value <= 1) return OkStatus();
  return InvalidArgument("{} is {}, expected 0 to 1", option, value);
}

}  // namespace

Status ValidateSchedulerConfig(const SchedulerConfig& c) {
  RETURN_IF_ERROR(CheckAtLeast("max_num_seqs", c.max_num_seqs, 1));
  RETURN_IF_ERROR(CheckAtLeast("max_num_batched_tokens", c.max_num_batched_tokens, c.num_speculative_tokens + 1));
  RETURN_IF_ERROR(CheckAtLeast("max_model_len", c.max_model_len, 2));
  RETURN_IF_ERROR(CheckAtLeast("max_num_waiting", c.max_num_waiting, 1));
  RETURN_IF_ERROR(CheckAtLeast("max_num_partial_prefills", c.max_num_partial_prefills, 1));
  RETURN_IF_ERROR(CheckAtLeast("num_gpu_blocks", c.num_gpu_blocks, 1));
  RETURN_IF_ERROR(CheckAtLeast("num_cpu_blocks", c.num_cpu_blocks, 0));
  RETURN_IF_ERROR(CheckAtLeast("recurrent_checkpoint_tokens", c.recurrent_checkpoint_tokens, kKvBlockTokens));
  RETURN_IF_ERROR(CheckAtLeast("num_speculative_tokens", c.num_speculative_tokens, 0));
  RETURN_IF_ERROR(CheckAtLeast("num_forced_tokens", c.num_forced_tokens, 0));
  RETURN_IF_ERROR(CheckAtLeast("target_inter_token_us", c.target_inter_token_us, 0));
  RETURN_IF_ERROR(CheckAtLeast("dynamic.max_batch", c.dynamic.max_batch, 1));
  RETURN_IF_ERROR(CheckAtLeast("dynamic.max_wait_us", c.dynamic.max_wait_us, 0));
  RETURN_IF_ERROR(CheckFraction("watermark", c.watermark));
  RETURN_IF_ERROR(CheckFraction("max_tenant_cache_fraction", c.max_tenant_cache_fraction));
  RETURN_IF_ERROR(CheckFraction("max_pinned_cache_fraction", c.max_pinned_cache_fraction));
  RETURN_IF_ERROR(CheckFraction("dynamic.first_fill", c.dynamic.first_fill));
  RETURN_IF_ERROR(CheckFraction("dynamic.late_fill", c.dynamic.late_fill));
  if (!(c.dynamic.length_ratio >= 1))
    return InvalidArgument("dynamic.length_ratio is {}, expected at least 1", c.dynamic.length_ratio);
  if (c.kv_groups.empty() || c.kv_groups.size() > 16) {
    return InvalidArgument("the model declares {} KV groups, expected 1 to 16", c.kv_groups.size());
  }
  for (const KvGroupSpec& group : c.kv_groups) {
    const bool recurrent = group.kind == KvGroupKind::kRecurrent;
    if (!recurrent && group.bytes_per_block <= 0)
      return InvalidArgument("a KV group has {} bytes per block", group.bytes_per_block);
    if (recurrent && (group.layers.empty() || group.state_piece_bytes.empty()))
      return InvalidArgument("a recurrent KV group has no state");
    if (recurrent && c.num_speculative_tokens > 0) {
      return Unsupported("num_speculative_tokens is {}, models with recurrent state need 0", c.num_speculative_tokens);
    }
    if (group.kind == KvGroupKind::kWindow && group.window_tokens <= 0) {
      return InvalidArgument("a window KV group has window_tokens {}, expected at least 1", group.window_tokens);
    }
  }
  return OkStatus();
}

Result<SchedulingPolicy> ParseSchedulingPolicy(std::string_view name) {
  if (name == "fcfs") return SchedulingPolicy::kFcfs;
  if (name == "priority") return SchedulingPolicy::kPriority;
  if (name == "lpm") return SchedulingPolicy::kLongestPrefixFirst;
  if (name == "round-robin") return SchedulingPolicy::kRoundRobin;
  if (name == "fair") return SchedulingPolicy::kFair;
  return InvalidArgument("--scheduling-policy is {}, expected fcfs, priority, lpm, round-robin or fair", name);
}

Result<VictimPolicy> ParseVictimPolicy(std::string_view name) {
  if (name == "latest") return VictimPolicy::kLatest;
  if (name == "lowest-priority") return VictimPolicy::kLowestPriority;
  if (name == "least-generated") return VictimPolicy::kLeastGenerated;
  if (name == "waiting-score") return VictimPolicy::kWaitingScore;
  return InvalidArgument(
      "--preemption-policy is {}, expected latest, lowest-priority, least-generated or waiting-score", name);
}

Result<BatchingMode> ParseBatchingMode(std::string_view name) {
  if (name == "continuous") return BatchingMode::kContinuous;
  if (name == "static") return BatchingMode::kStatic;
  if (name == "dynamic") return BatchingMode::kDynamic;
  return InvalidArgument("--batching is {}, expected continuous, static or dynamic", name);
}

Status ApplySchedulerPreset(std::string_view mode, SchedulerConfig& config) {
  if (mode == "low-latency") {
    config.max_num_seqs = 32;
    config.max_num_batched_tokens = 512;
    config.target_inter_token_us = 25'000;
    config.max_num_partial_prefills = 4;
  } else if (mode == "balanced") {
    config.max_num_seqs = 128;
    config.max_num_batched_tokens = 2048;
    config.target_inter_token_us = 50'000;
    config.max_num_partial_prefills = 4;
  } else if (mode == "high-throughput") {
    config.max_num_seqs = 512;
    config.max_num_batched_tokens = 8192;
    config.target_inter_token_us = 0;
    config.max_num_partial_prefills = 8;
  } else {
    return InvalidArgument("mode is \"{}\", expected low-latency, balanced or high-throughput", mode);
  }
  return OkStatus();
}

}  // namespace millrace
