// Instance: one serving engine in virtual time: the real Scheduler, and a runner that takes as long as the cost model
// says. It keeps the engine's rhythm: the next step is scheduled while one runs, a step's tokens are known when it
// ends.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "scheduler/scheduler.h"
#include "sim/cost_model.h"

namespace millrace::sim {

// What became of one request; times are virtual, -1 when it did not happen.
struct RequestOutcome {
  double ttft_ms() const { return static_cast<double>(first_token_us - arrival_us) * 1e-3; }
  // Mean time per token after the first; 0 when there is none.
  double tpot_ms() const {
    return num_output_tokens > 1 ? static_cast<double>(end_us - first_token_us) * 1e-3 / (num_output_tokens - 1) : 0;
  }

  int64_t arrival_us = 0;
  int64_t queue_us = -1;
  int64_t first_token_us = -1;
  int64_t end_us = -1;
  int num_prompt_tokens = 0;
  int num_cached_tokens = 0;
  int num_output_tokens = 0;
  int instance = -1;
  bool refused = false;  // could not run, or the queue was full
};

struct LatencyTarget {
  double ttft_p99_ms = 0;  // 0: any
  double tpot_p99_ms = 0;
};

// Counts what misses a target while a fleet runs, of all its instances.
struct TargetMisses {
  LatencyTarget target;
  int64_t late_first_tokens = 0, slow_requests = 0, refused = 0;
};

// Invariant: next_event_us() is the end of the oldest step in flight; without one a timer of the scheduler, or
// INT64_MAX.
class Instance {
 public:
  // outcomes[request id - 1] is written. misses may be null. All outlive the instance.
  Instance(const SchedulerConfig& config, const StepCostModel& cost, std::vector<RequestOutcome>& outcomes,
           TargetMisses* misses = nullptr);

  // False when the scheduler refuses it. now_us never goes back.
  bool Submit(int64_t now_us, std::shared_ptr<const Request> request);
  // Something happens at this time without new requests; INT64_MAX: nothing.
  int64_t next_event_us() const { return next_event_us_; }
  // No step is in flight: a request is looked at when it comes, not when a step ends.
  bool idle() const { return in_flight_.empty(); }
  // To be called at next_event_us(), and after Submit to an idle instance.
  void Advance(int64_t now_us);

  int num_open() const { return num_open_; }
  int64_t open_tokens() const { return open_tokens_; }  // prompt tokens of open requests
  int64_t busy_us() const { return busy_us_; }
  SchedulerStats stats() const { return scheduler_.stats(); }

 private:
  struct Step {
    uint64_t id = 0;
    int num_outputs = 0;
    int64_t end_us = 0;
    int64_t us = 0;
  };
  void Commit(const Step& step);
  void Take(const std::vector<SequenceEvent>& events, int64_t now_us);
  void CountMisses(const RequestOutcome& outcome, bool first_token);

  Scheduler scheduler_;
  const StepCostModel& cost_;
  std::vector<RequestOutcome>& outcomes_;
  TargetMisses* misses_;
  std::deque<Step> in_flight_;  // at most 2
  int64_t next_event_us_ = INT64_MAX;
  int64_t runner_free_us_ = 0;
  int64_t busy_us_ = 0;
  int64_t open_tokens_ = 0;
  int num_open_ = 0;
  TokenId next_token_ = 0;
};

}  // namespace millrace::sim
