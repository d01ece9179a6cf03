#include "sim/instance.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace millrace::sim {
namespace {

constexpr size_t kMaxStepsInFlight = 2;
constexpr int64_t kPollUs = 1000;  // how often an engine with nothing to run but a timer looks at it
constexpr TokenId kTokenRange = 1 << 30;

}  // namespace

Instance::Instance(const SchedulerConfig& config, const StepCostModel& cost, std::vector<RequestOutcome>& outcomes,
                   TargetMisses* misses)
    : scheduler_(config), cost_(cost), outcomes_(outcomes), misses_(misses) {}

bool Instance::Submit(int64_t now_us, std::shared_ptr<const Request> request) {
  RequestOutcome& outcome = outcomes_[request->id - 1];
  outcome.arrival_us = now_us;
  outcome.num_prompt_tokens = static_cast<int>(request->prompt_token_ids.size());
  if (!scheduler_.Submit(std::move(request)).ok()) {
    outcome.refused = true;
    if (misses_ != nullptr) ++misses_->refused;
    return false;
  }
  ++num_open_;
  open_tokens_ += outcome.num_prompt_tokens;
  return true;
}

void Instance::Advance(int64_t now_us) {
  if (!in_flight_.empty() && in_flight_.front().end_us <= now_us) {
    const Step step = in_flight_.front();
    in_flight_.pop_front();
    Commit(step);
  }
  // A step that runs is awaited once another stands behind it, or there is nothing to put there; requests that come
  // meanwhile are seen when it ends.
  while (in_flight_.size() < kMaxStepsInFlight) {
    const Batch batch = scheduler_.Schedule(now_us);
    if (batch.num_rows() == 0) {
      Take(scheduler_.TakeEvents(), now_us);
      break;
    }
    const int64_t us = std::max<int64_t>(1, std::llround(cost_.Us(ShapeOf(batch))));
    runner_free_us_ = std::max(runner_free_us_, now_us) + us;
    busy_us_ += us;
    in_flight_.push_back({batch.step_id, static_cast<int>(batch.outputs.size()), runner_free_us_, us});
  }
  const int64_t wake_us = scheduler_.NextWakeUs();
  next_event_us_ = !in_flight_.empty()    ? in_flight_.front().end_us
                   : wake_us == INT64_MAX ? INT64_MAX
                                          : std::max(wake_us, now_us + kPollUs);
}

void Instance::Commit(const Step& step) {
  StepResult result;
  result.step_id = step.id;
  result.outputs.resize(static_cast<size_t>(step.num_outputs));
  for (OutputResult& output : result.outputs) {
    output.token = next_token_;  // all different, so that no answer is taken for another
    next_token_ = (next_token_ + 1) % kTokenRange;
  }
  Take(scheduler_.Commit(result, step.us), step.end_us);
}

void Instance::Take(const std::vector<SequenceEvent>& events, int64_t now_us) {
  for (const SequenceEvent& event : events) {
    RequestOutcome& outcome = outcomes_[event.request - 1];
    outcome.queue_us = event.queue_us;
    outcome.num_cached_tokens = event.num_cached_tokens;
    outcome.num_output_tokens += static_cast<int>(event.tokens.size());
    const bool first_token = outcome.first_token_us < 0 && !event.tokens.empty();
    if (first_token) outcome.first_token_us = now_us;
    if (event.request_finished) outcome.end_us = now_us;
    CountMisses(outcome, first_token);
    if (!event.request_finished) continue;
    --num_open_;
    open_tokens_ -= outcome.num_prompt_tokens;
  }
}

void Instance::CountMisses(const RequestOutcome& outcome, bool first_token) {
  if (misses_ == nullptr) return;
  const LatencyTarget& target = misses_->target;
  if (first_token && target.ttft_p99_ms > 0 && outcome.ttft_ms() > target.ttft_p99_ms) ++misses_->late_first_tokens;
  if (outcome.end_us >= 0 && target.tpot_p99_ms > 0 && outcome.tpot_ms() > target.tpot_p99_ms) ++misses_->slow_requests;
}

}  // namespace millrace::sim
