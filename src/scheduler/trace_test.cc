// Replays the Azure conversation trace (arrivals, prompt and output lengths) and measures how much of the allocated KV
// holds no token.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "scheduler/scheduler.h"

namespace millrace {
namespace {

struct Arrival {
  int64_t time_us = 0;
  int prompt = 0;
  int output = 0;
};

// Rows "2023-11-16 18:15:46.6805900,374,44"; the trace lies within one day.
std::vector<Arrival> ReadTrace(const std::string& path, size_t limit) {
  std::vector<Arrival> arrivals;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (arrivals.size() < limit && std::getline(file, line)) {
    int hours = 0, minutes = 0;
    double seconds = 0;
    Arrival arrival;
    if (std::sscanf(line.c_str(), "%*d-%*d-%*d %d:%d:%lf,%d,%d", &hours, &minutes, &seconds, &arrival.prompt,
                    &arrival.output) != 5)
      break;
    arrival.time_us = static_cast<int64_t>(((hours * 60.0 + minutes) * 60.0 + seconds) * 1e6);
    arrivals.push_back(arrival);
  }
  return arrivals;
}

std::shared_ptr<Request> RequestOf(const Arrival& arrival, RequestId id) {
  auto request = std::make_shared<Request>();
  request->id = id;
  for (int i = 0; i < arrival.prompt; ++i)
    request->prompt_token_ids.push_back(static_cast<TokenId>((id * 7919 + i) % 32000));
  request->sampling.max_tokens = std::max(1, arrival.output);
  request->arrival_us = arrival.time_us;
  return request;
}

StepResult ResultOf(const Batch& batch) {
  StepResult result;
  result.step_id = batch.step_id;
  result.outputs.resize(batch.outputs.size());
  for (OutputResult& output : result.outputs) output.token = 5;
  return result;
}

TEST(SchedulerTrace, LessThanFourPercentOfTheKvIsWasted) {
  const char* data = std::getenv("MILLRACE_DATA");
  const std::string folder = data != nullptr && *data != 0 ? data : MILLRACE_SOURCE_DIR "/../shared/data";
  const std::vector<Arrival> arrivals = ReadTrace(folder + "/traces/AzureLLMInferenceTrace_conv.csv", 1000);
  if (arrivals.empty()) GTEST_SKIP() << "no trace in " << folder;
  SchedulerConfig config;
  config.kv_groups = {{.kind = KvGroupKind::kFull, .layers = {0}, .bytes_per_block = 64}};
  config.num_gpu_blocks = 8000;
  config.max_model_len = 16384;
  config.max_num_seqs = 256;
  Scheduler scheduler(config);
  int64_t now_us = arrivals.front().time_us;
  size_t next = 0, ended = 0;
  int64_t wasted = 0, allocated = 0, worst_per_sequence = 0, steps = 0;
  while (ended < arrivals.size()) {
    if (scheduler.idle()) now_us = std::max(now_us, arrivals[next].time_us);
    for (; next < arrivals.size() && arrivals[next].time_us <= now_us; ++next) {
      ASSERT_TRUE(scheduler.Submit(RequestOf(arrivals[next], next + 1)).ok());
    }
    const Batch batch = scheduler.Schedule(now_us);
    ASSERT_GT(batch.num_rows(), 0);
    const int64_t step_us = 10'000 + 30 * batch.num_tokens();
    now_us += step_us;
    const SchedulerStats stats = scheduler.stats();
    wasted += stats.kv_wasted_slots;
    allocated += static_cast<int64_t>(stats.kv.num_in_use) * kKvBlockTokens;
    worst_per_sequence = std::max<int64_t>(worst_per_sequence, stats.kv_worst_waste);
    ++steps;
    for (const SequenceEvent& event : scheduler.Commit(ResultOf(batch), step_us)) {
      ended += event.finish_reason != FinishReason::kNone;
    }
  }
  const double waste = static_cast<double>(wasted) / static_cast<double>(allocated);
  fmt::print(
      "{} requests in {} steps: {:.2f} % of the allocated KV slots hold no token, at most {} of a sequence, {} "
      "preemptions\n",
      ended, steps, 100 * waste, worst_per_sequence, scheduler.stats().num_preemptions);
  EXPECT_LT(waste, 0.04);
  EXPECT_LE(worst_per_sequence, kKvBlockTokens - 1);
}

}  // namespace
}  // namespace millrace
