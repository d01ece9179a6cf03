#include "sim/fleet.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <queue>

#include "base/check.h"

namespace millrace::sim {
namespace {

// The run itself. Events at the same time go by instance number, arrivals last, so that an instance sees a request
// after its step.
class Run {
 public:
  Run(const Trace& trace, const StepCostModel& cost, const FleetOptions& options, const LatencyTarget* target)
      : trace_(trace),
        cost_(cost),
        options_(options),
        router_(options.routing, options.num_instances),
        outcomes_(trace.requests.size()) {
    instances_.resize(static_cast<size_t>(options.num_instances));
    if (target != nullptr) misses_.target = *target;
    watched_ = target != nullptr;
  }

  std::vector<RequestOutcome> Go() {
    for (size_t next = 0; (next < trace_.requests.size() || !events_.empty()) && !gave_up();) {
      const int64_t arrival = next < trace_.requests.size() ? trace_.requests[next].arrival_us : INT64_MAX;
      if (!events_.empty() && events_.top().first <= arrival) {
        const auto [us, number] = events_.top();
        events_.pop();
        if (instances_[number]->next_event_us() == us) Advance(number, us);  // else it was planned anew
      } else {
        Arrive(next++, arrival);
      }
    }
    return std::move(outcomes_);
  }

  // The nearest rank of the p99 leaves out floor(n / 100) values.
  bool gave_up() const {
    const int64_t allowed = static_cast<int64_t>(trace_.requests.size() / 100);
    return watched_ && (misses_.refused > 0 || misses_.late_first_tokens > allowed || misses_.slow_requests > allowed);
  }
  int64_t busy_us() const {
    int64_t us = 0;
    for (const auto& instance : instances_) us += instance == nullptr ? 0 : instance->busy_us();
    return us;
  }
  int64_t num_preemptions() const {
    int64_t count = 0;
    for (const auto& instance : instances_) count += instance == nullptr ? 0 : instance->stats().num_preemptions;
    return count;
  }

 private:
  void Arrive(size_t index, int64_t now_us) {
    const TraceRequest& source = trace_.requests[index];
    const int chosen = router_.Choose(Beginnings(source.prefix_ids));
    auto& instance = instances_[static_cast<size_t>(chosen)];
    if (instance == nullptr) instance = std::make_unique<Instance>(options_.scheduler, cost_, outcomes_, &misses_);
    auto request = std::make_shared<Request>();
    request->id = index + 1;
    request->prompt_token_ids = PromptTokens(trace_, index, options_.vocab);
    request->sampling.max_tokens = source.num_output_tokens;
    request->sampling.ignore_eos = true;
    request->arrival_us = now_us;
    outcomes_[index].instance = chosen;
    const bool idle = instance->idle();
    if (!instance->Submit(now_us, std::move(request))) return;
    router_.SetLoad(chosen, instance->open_tokens());
    if (idle) Advance(static_cast<size_t>(chosen), now_us);
  }

  void Advance(size_t number, int64_t now_us) {
    Instance& instance = *instances_[number];
    instance.Advance(now_us);
    router_.SetLoad(static_cast<int>(number), instance.open_tokens());
    if (instance.next_event_us() != INT64_MAX) events_.push({instance.next_event_us(), number});
  }

  using Event = std::pair<int64_t, size_t>;
  const Trace& trace_;
  const StepCostModel& cost_;
  const FleetOptions& options_;
  Router router_;
  std::vector<RequestOutcome> outcomes_;
  TargetMisses misses_;
  bool watched_ = false;
  std::vector<std::unique_ptr<Instance>> instances_;  // made when the first request comes
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

}  // namespace

Percentiles PercentilesOf(std::vector<double> values) {
  Percentiles p;
  if (values.empty()) return p;
  std::sort(values.begin(), values.end());
  const auto rank = [&](double part) {
    const auto index = static_cast<size_t>(std::ceil(part * static_cast<double>(values.size())));
    return values[std::clamp<size_t>(index, 1, values.size()) - 1];
  };
  for (const double value : values) p.mean += value / static_cast<double>(values.size());
  p.count = static_cast<int64_t>(values.size());
  p.p50 = rank(0.5);
  p.p90 = rank(0.9);
  p.p99 = rank(0.99);
  return p;
}

FleetReport SummariseOutcomes(const std::vector<RequestOutcome>& outcomes) {
  FleetReport report;
  std::vector<double> queue, ttft, tpot, e2e;
  int64_t cached = 0, last_us = 0;
  for (const RequestOutcome& o : outcomes) {
    ++report.num_requests;
    report.num_refused += o.refused;
    if (o.end_us < 0) continue;
    queue.push_back(static_cast<double>(o.queue_us) * 1e-3);
    ttft.push_back(o.ttft_ms());
    e2e.push_back(static_cast<double>(o.end_us - o.arrival_us) * 1e-3);
    if (o.num_output_tokens > 1) tpot.push_back(o.tpot_ms());
    report.prompt_tokens += o.num_prompt_tokens;
    report.output_tokens += o.num_output_tokens;
    cached += o.num_cached_tokens;
    last_us = std::max(last_us, o.end_us);
  }
  report.seconds = static_cast<double>(last_us) * 1e-6;
  if (report.seconds > 0) report.output_tokens_per_s = static_cast<double>(report.output_tokens) / report.seconds;
  if (report.prompt_tokens > 0)
    report.hit_rate = static_cast<double>(cached) / static_cast<double>(report.prompt_tokens);
  report.queue_ms = PercentilesOf(std::move(queue));
  report.ttft_ms = PercentilesOf(std::move(ttft));
  report.tpot_ms = PercentilesOf(std::move(tpot));
  report.e2e_ms = PercentilesOf(std::move(e2e));
  return report;
}

FleetReport RunFleet(const Trace& trace, const StepCostModel& cost, const FleetOptions& options,
                     std::vector<RequestOutcome>* outcomes, const LatencyTarget* target) {
  Run run(trace, cost, options, target);
  std::vector<RequestOutcome> done = run.Go();
  FleetReport report = SummariseOutcomes(done);
  report.num_instances = options.num_instances;
  report.gave_up = run.gave_up();
  report.num_preemptions = run.num_preemptions();
  if (report.seconds > 0)
    report.busy_fraction = static_cast<double>(run.busy_us()) * 1e-6 / (report.seconds * options.num_instances);
  if (outcomes != nullptr) *outcomes = std::move(done);
  return report;
}

double CostPerMillionTokens(const FleetReport& report, double price_per_hour) {
  if (report.output_tokens == 0) return 0;
  return price_per_hour * report.num_instances * report.seconds / 3600 /
         (static_cast<double>(report.output_tokens) * 1e-6);
}

bool Meets(const FleetReport& report, const LatencyTarget& target) {
  return !report.gave_up && report.num_refused == 0 &&
         (target.ttft_p99_ms <= 0 || report.ttft_ms.p99 <= target.ttft_p99_ms) &&
         (target.tpot_p99_ms <= 0 || report.tpot_ms.p99 <= target.tpot_p99_ms);
}

Result<FleetReport> FindFleetSize(const Trace& trace, const StepCostModel& cost, FleetOptions options,
                                  const LatencyTarget& target, int max_instances) {
  const auto run = [&](int instances) {
    options.num_instances = instances;
    return RunFleet(trace, cost, options, nullptr, &target);
  };
  int low = 0;  // does not do
  int high = 1;
  FleetReport best = run(high);
  while (!Meets(best, target)) {
    if (high == max_instances) {
      return OutOfRange(
          "{} instances (--max-instances) do not meet the target: of the first {} requests that were answered the p99 "
          "is {:.0f} ms to "
          "the first token and {:.0f} ms per token, {} were refused",
          high, best.ttft_ms.count, best.ttft_ms.p99, best.tpot_ms.p99, best.num_refused);
    }
    low = high;
    high = std::min(2 * high, max_instances);
    best = run(high);
  }
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    FleetReport report = run(middle);
    if (Meets(report, target)) {
      high = middle;
      best = report;
    } else {
      low = middle;
    }
  }
  return best;
}

}  // namespace millrace::sim
