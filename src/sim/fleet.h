// Fleet: a trace replayed over many instances in virtual time. Deterministic: the same input gives the same report.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "scheduler/scheduler_config.h"
#include "sim/cost_model.h"
#include "sim/instance.h"
#include "sim/router.h"
#include "sim/trace.h"

namespace millrace::sim {

struct FleetOptions {
  SchedulerConfig scheduler;  // of each instance; passed ValidateSchedulerConfig
  int num_instances = 1;      // 1 .. 10,000
  Routing routing = Routing::kRoundRobin;
  int vocab = 32000;
};

struct Percentiles {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0;
  int64_t count = 0;
};
// Of the values, in milliseconds when they are in microseconds; nearest rank. Zeros when there are none.
Percentiles PercentilesOf(std::vector<double> values);

struct FleetReport {
  int num_instances = 0;
  int64_t num_requests = 0, num_refused = 0;
  bool gave_up = false;  // the target was missed for certain before the end: the figures are of the requests until then
  double seconds = 0;    // from the first arrival to the last token
  double busy_fraction = 0;  // of the instances' time
  double output_tokens_per_s = 0;
  double hit_rate = 0;  // prompt tokens found in prefix caches
  int64_t num_preemptions = 0;
  int64_t prompt_tokens = 0, output_tokens = 0;
  Percentiles queue_ms, ttft_ms, tpot_ms, e2e_ms;  // tpot: mean time per token after the first, by request
};

FleetReport SummariseOutcomes(const std::vector<RequestOutcome>& outcomes);
// outcomes: if not null, receives one per request of the trace. target: if not null, the run ends as soon as more than
// a hundredth of the trace's requests have missed it, or one was refused.
FleetReport RunFleet(const Trace& trace, const StepCostModel& cost, const FleetOptions& options,
                     std::vector<RequestOutcome>* outcomes = nullptr, const LatencyTarget* target = nullptr);

// Money per million output tokens: every instance is paid for the whole time.
double CostPerMillionTokens(const FleetReport& report, double price_per_hour);

bool Meets(const FleetReport& report, const LatencyTarget& target);  // refusing requests never does
// The fewest instances, at most max_instances, that meet the target: doubling, then bisection; fleets that are too
// small are given up early. kOutOfRange when even max_instances don't.
Result<FleetReport> FindFleetSize(const Trace& trace, const StepCostModel& cost, FleetOptions options,
                                  const LatencyTarget& target, int max_instances);

}  // namespace millrace::sim
