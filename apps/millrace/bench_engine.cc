#include "bench_engine.h"

#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "fleet_report.h"
#include "sim/cost_model.h"
#include "sim/fleet.h"

namespace millrace {
namespace {

constexpr size_t kMaxRecordedSteps = 1'000'000;
// A longer pause before a step means that there was nothing to run; a shorter one is the hand-over, and part of what a
// step costs.
constexpr double kLongestHandOverUs = 1000;

// Appends every step; read when the engine is drained.
class StepRecorder : public StepObserver {
 public:
  void BeforeStep(const Batch&) override {}
  void AfterStep(const Batch& batch, int64_t step_us) override {
    const Clock::time_point now = Clock::now();
    const double since_last_us = std::chrono::duration<double, std::micro>(now - last_end_).count();
    last_end_ = now;
    const auto us = static_cast<double>(step_us);
    const bool back_to_back = since_last_us >= us && since_last_us < us + kLongestHandOverUs;
    if (samples_.size() < kMaxRecordedSteps)
      samples_.push_back({sim::ShapeOf(batch), back_to_back ? since_last_us : us});
  }
  const std::vector<sim::StepSample>& samples() const { return samples_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_end_;
  std::vector<sim::StepSample> samples_;
};

// Where the time between the first submission and the last token went.
struct TimeShares {
  double wall_us = 0, step_us = 0, model_us = 0;
  double Engine() const { return 1.0 - step_us / wall_us; }
  double Sampling() const { return (step_us - model_us) / wall_us; }
};

class EngineBench {
 public:
  EngineBench(Engine& engine, const sim::Trace& trace)
      : engine_(engine), trace_(trace), outcomes_(trace.requests.size()) {}

  // Submits each request when the trace has it; returns when all have ended.
  Status Run() {
    const RunnerTimes before = engine_.runner().times();
    start_us_ = engine_.NowUs();
    Status status;
    for (size_t i = 0; i < trace_.requests.size() && status.ok(); ++i) {
      const int64_t wait_us = start_us_ + trace_.requests[i].arrival_us - engine_.NowUs();
      if (wait_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
      status = Submit(i);
    }
    while (!engine_.Drain(1'000'000)) {  // also after an error: the sinks refer to this object
    }
    RETURN_IF_ERROR(status);
    const RunnerTimes after = engine_.runner().times();
    std::lock_guard lock(mutex_);
    shares_.wall_us = static_cast<double>(last_us_ - start_us_);
    shares_.step_us = static_cast<double>(after.step_us - before.step_us);
    shares_.model_us = static_cast<double>(after.model_us - before.model_us);
    return error_.empty() ? OkStatus() : Internal("a request failed: {}", error_);
  }

  const TimeShares& shares() const { return shares_; }
  sim::FleetReport Report() const {
    sim::FleetReport report = sim::SummariseOutcomes(outcomes_);
    report.num_instances = 1;
    report.num_preemptions = engine_.stats().scheduler.num_preemptions;
    report.busy_fraction = shares_.step_us / shares_.wall_us;
    return report;
  }

 private:
  Status Submit(size_t index) {
    Request request;
    request.prompt_token_ids = sim::PromptTokens(trace_, index, engine_.checkpoint().config().vocab_size);
    request.sampling.temperature = 0.0f;
    request.sampling.max_tokens = trace_.requests[index].num_output_tokens;
    request.sampling.ignore_eos = true;
    {
      std::lock_guard lock(mutex_);
      outcomes_[index].arrival_us = engine_.NowUs() - start_us_;
      outcomes_[index].num_prompt_tokens = trace_.requests[index].num_prompt_tokens;
    }
    const Result<RequestId> id =
        engine_.Submit(std::move(request), [this, index](RequestOutput output) { Take(index, output); });
    if (id.ok()) return OkStatus();
    if (id.status().code() != StatusCode::kOutOfRange && id.status().code() != StatusCode::kInvalidArgument)
      return id.status();
    std::lock_guard lock(mutex_);
    outcomes_[index].refused = true;
    return OkStatus();
  }

  void Take(size_t index, const RequestOutput& output) {
    const int64_t now_us = engine_.NowUs();
    std::lock_guard lock(mutex_);
    sim::RequestOutcome& outcome = outcomes_[index];
    outcome.queue_us = output.queue_us;
    outcome.num_cached_tokens = output.num_cached_tokens;
    outcome.num_output_tokens += static_cast<int>(output.tokens.size());
    if (outcome.first_token_us < 0 && !output.tokens.empty()) outcome.first_token_us = now_us - start_us_;
    if (output.request_finished) outcome.end_us = now_us - start_us_;
    if (!output.error.empty()) error_ = output.error;
    last_us_ = now_us;
  }

  Engine& engine_;
  const sim::Trace& trace_;
  int64_t start_us_ = 0;
  TimeShares shares_;
  std::mutex mutex_;
  std::vector<sim::RequestOutcome> outcomes_;
  int64_t last_us_ = 0;
  std::string error_;
};

sim::Trace AllAtOnce(const EngineBenchOptions& options) {
  sim::Trace trace;
  for (int i = 0; i < options.num_requests; ++i)
    trace.requests.push_back({0, options.prompt_tokens, options.output_tokens, {}});
  return trace;
}

}  // namespace

Status RunEngineBench(const EngineBenchOptions& options) {
  sim::Trace trace = AllAtOnce(options);
  if (!options.trace.empty()) {
    ASSIGN_OR_RETURN(trace, sim::LoadTrace(options.trace, options.max_requests));
    sim::ScaleTrace(options.scale, &trace);
  }
  StepRecorder recorder;
  EngineOptions engine_options = options.engine;
  engine_options.observer = &recorder;
  engine_options.max_num_waiting = static_cast<int>(trace.requests.size());
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::Open(engine_options));
  EngineBench bench(*engine, trace);
  RETURN_IF_ERROR(bench.Run());
  if (!options.steps_out.empty())
    RETURN_IF_ERROR(WriteFileAtomic(options.steps_out, sim::StepSamplesToJson(recorder.samples())));
  const sim::FleetReport report = bench.Report();
  const TimeShares& shares = bench.shares();
  const int64_t steps = engine->runner().times().num_steps;
  if (options.json) {
    nlohmann::ordered_json out = FleetReportToJson(report);
    out["steps"] = steps;
    out["mean_step_ms"] = shares.step_us * 1e-3 / static_cast<double>(steps);
    out["share_outside_steps"] = shares.Engine();
    out["share_sampling"] = shares.Sampling();
    out["kv_blocks"] = engine->memory_plan().num_blocks;
    std::printf("%s\n", out.dump(2).c_str());
    return OkStatus();
  }
  PrintFleetReport(report);
  fmt::print(
      "{} steps of {:.2f} ms; of the time {:.2f} % outside steps, {:.2f} % in them beside the model (sampling, "
      "tables)\n",
      steps, shares.step_us * 1e-3 / static_cast<double>(steps), 100 * shares.Engine(), 100 * shares.Sampling());
  return OkStatus();
}

}  // namespace millrace
