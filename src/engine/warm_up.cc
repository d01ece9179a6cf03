#include "engine/warm_up.h"

#include <algorithm>
#include <memory>

#include "scheduler/scheduler.h"

namespace millrace {
namespace {

constexpr int64_t kWorkBytes = int64_t{2} << 30;  // tokens times bytes of weights

}  // namespace

Status WarmUp(const SchedulerConfig& config, ModelRunner& runner) {
  // Whatever the policies wait for or demand of requests, this one runs at once.
  SchedulerConfig plain = config;
  plain.batching = BatchingMode::kContinuous;
  plain.victim_policy = VictimPolicy::kLatest;
  Scheduler scheduler(plain);
  const int64_t longest = std::min(config.max_num_batched_tokens, scheduler.max_sequence_tokens() - 2);
  const int64_t num_tokens =
      std::min(longest, std::max<int64_t>(1, kWorkBytes / std::max<int64_t>(1, runner.model().weight_bytes())));
  if (num_tokens < 1) return OkStatus();
  auto request = std::make_shared<Request>();
  request->id = 1;
  request->prompt_token_ids.assign(static_cast<size_t>(num_tokens), 0);
  request->sampling.temperature = 0.0f;
  request->sampling.max_tokens = 2;
  request->sampling.ignore_eos = true;
  RETURN_IF_ERROR(scheduler.Submit(request).status());
  while (!scheduler.idle()) {
    Batch batch = scheduler.Schedule(0);
    if (batch.num_rows() == 0) return Internal("the warm-up could not be scheduled");
    const StepResult result = runner.Submit(std::move(batch)).Wait();
    if (!result.error.empty()) return Internal("the warm-up failed: {}", result.error);
    scheduler.Commit(result);
  }
  return OkStatus();
}

}  // namespace millrace
