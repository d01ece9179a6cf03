// The simulator against runs that can be worked out by hand, and its own promises: the same report twice, nothing lost,
// more instances never slower on a trace that one can't serve.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "sim/fleet.h"

namespace millrace::sim {
namespace {

// 1 ms a step, 10 us a token: exactly within the model.
StepCostModel LinearCost() {
  std::vector<StepSample> samples;
  for (const int tokens : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}) {
    for (const int outputs : {0, tokens}) {  // neither outputs nor pairs cost anything
      for (const int64_t pairs : {0, 1'000'000})
        samples.push_back({{tokens, outputs, pairs, 0}, 1000.0 + 10.0 * tokens});
    }
  }
  return *StepCostModel::Fit(samples);
}

FleetOptions Options() {
  FleetOptions options;
  options.scheduler.kv_groups = {{.kind = KvGroupKind::kFull, .layers = {0}, .bytes_per_block = 64}};
  options.scheduler.num_gpu_blocks = 4000;
  options.scheduler.max_model_len = 8192;
  options.scheduler.max_num_batched_tokens = 512;
  options.scheduler.max_num_seqs = 64;
  return options;
}

Trace Steady(int count, int64_t gap_us, int prompt, int output) {
  Trace trace;
  for (int i = 0; i < count; ++i) trace.requests.push_back({i * gap_us, prompt, output, {}});
  return trace;
}

TEST(CostModel, FindsThePlantedCoefficients) {
  std::vector<StepSample> samples;
  for (int i = 0; i < 400; ++i) {
    const StepShape shape = {1 + (i * 37) % 300, 1 + i % 17, (i * 7919) % 50000, i % 5};
    samples.push_back({shape, 500.0 + 20.0 * std::min(shape.num_tokens, 16) + 3.0 * std::max(0, shape.num_tokens - 16) +
                                  40.0 * shape.num_outputs + 0.01 * static_cast<double>(shape.num_pairs) +
                                  12.0 * shape.num_copies});
  }
  const Result<StepCostModel> model = StepCostModel::Fit(samples);
  ASSERT_TRUE(model.ok());
  EXPECT_LT(model->median_error(), 0.01);
  EXPECT_NEAR(model->total_error(), 0.0, 0.01);
  const StepShape unseen = {100, 8, 20000, 2};
  EXPECT_NEAR(model->Us(unseen), 500 + 320 + 3 * 84 + 320 + 200 + 24, 30);
}

TEST(CostModel, ReadsWhatBenchWritesAndRefusesTheRest) {
  const std::vector<StepSample> samples = {{{1, 1, 10, 0}, 1500.0}, {{512, 1, 1000, 0}, 90000.0}};
  const Result<StepCostModel> steps = StepCostModel::Parse(StepSamplesToJson(samples));
  ASSERT_TRUE(steps.ok()) << steps.status().message();
  EXPECT_NEAR(steps->Us(samples[1].shape), 90000, 900);
  const Result<StepCostModel> bench = StepCostModel::Parse(
      R"({"model": "m", "results": [{"test": "pp512", "depth": 0, "batch": 1, "tokens_per_second": 5000.0},
          {"test": "tg64", "depth": 0, "batch": 8, "tokens_per_second": 400.0}]})");
  ASSERT_TRUE(bench.ok()) << bench.status().message();
  EXPECT_NEAR(bench->Us({8, 8, 256, 0}), 20000, 400);
  for (const char* wrong :
       {"", "[]", "{}", R"({"steps": [[1, 2]]})", R"({"steps": [["a", 1, 1, 1, 1]]})", R"({"results": [{"test": 3}]})",
        R"({"results": [{"test": "pp512", "tokens_per_second": "x"}]})", R"({"steps": []})"}) {
    EXPECT_FALSE(StepCostModel::Parse(wrong).ok()) << wrong;
  }
}

TEST(Trace, ReadsBothFormatsAndNamesTheWrongLine) {
  const Result<Trace> azure = ParseTrace(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 "
      "18:15:50.9951690,396,109\n");
  ASSERT_TRUE(azure.ok()) << azure.status().message();
  ASSERT_EQ(azure->requests.size(), 2u);
  EXPECT_EQ(azure->requests[1].arrival_us, 4'314'579);
  EXPECT_EQ(azure->requests[1].num_output_tokens, 109);
  const Result<Trace> mooncake = ParseTrace(
      "{\"timestamp\": 5, \"input_length\": 700, \"output_length\": 5, \"hash_ids\": [0, 1]}\n"
      "{\"timestamp\": 3, \"input_length\": 1300, \"output_length\": 6, \"hash_ids\": [0, 1, 7]}\n");
  ASSERT_TRUE(mooncake.ok()) << mooncake.status().message();
  EXPECT_EQ(mooncake->requests[1].arrival_us, 2000);
  const std::vector<TokenId> longer = PromptTokens(*mooncake, 0, 1000), shorter = PromptTokens(*mooncake, 1, 1000);
  EXPECT_EQ(longer.size(), 1300u);
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin()));
  EXPECT_EQ(ParseTrace("H\n2023-11-16 18:15:46.68,374\n").status().message(),
            "line 2 is neither \"TIMESTAMP,ContextTokens,GeneratedTokens\" nor a JSON object of a Mooncake trace");
  for (const char* wrong : {"", "H\n", "{\"timestamp\": 5}", "{\"timestamp\": \"x\"}", "{",
                            "H\n2023-11-16 18:15:46.68,9999999999,1\n", "H\n2023-11-16 18:15:46.68,-5,1\n"}) {
    EXPECT_FALSE(ParseTrace(wrong).ok()) << wrong;
  }
}

TEST(Trace, ScalesMultiply) {
  Result<Trace> trace = ParseTrace(
      "{\"timestamp\": 0, \"input_length\": 1024, \"output_length\": 30, \"hash_ids\": [7, 8]}\n"
      "{\"timestamp\": 2000, \"input_length\": 1041, \"output_length\": 1}\n");
  ASSERT_TRUE(trace.ok());
  ScaleTrace({.time = 0.25, .length = 0.1}, &*trace);
  EXPECT_EQ(trace->requests[1].arrival_us, 500'000);
  EXPECT_EQ(trace->requests[0].num_prompt_tokens, 103);
  EXPECT_EQ(trace->requests[0].num_output_tokens, 3);
  EXPECT_EQ(trace->requests[1].num_prompt_tokens, 105);
  EXPECT_EQ(trace->requests[1].num_output_tokens, 1);
  EXPECT_EQ(trace->unit_tokens, 52);
  ScaleTrace({.time = 2.0, .length = 1000.0}, &*trace);
  EXPECT_EQ(trace->requests[1].arrival_us, 1'000'000);
  EXPECT_EQ(trace->requests[0].num_output_tokens, 3000);
}

TEST(Fleet, OneRequestTakesWhatItsStepsTake) {
  std::vector<RequestOutcome> outcomes;
  const FleetReport report = RunFleet(Steady(1, 0, 100, 10), LinearCost(), Options(), &outcomes);
  EXPECT_NEAR(report.ttft_ms.p50, 2.0, 0.02);            // 1,000 + 100 x 10 us
  EXPECT_NEAR(report.e2e_ms.p50, 2.0 + 9 * 1.01, 0.05);  // nine decode steps of one token
  EXPECT_NEAR(report.tpot_ms.p99, 1.01, 0.01);
  EXPECT_EQ(report.output_tokens, 10);
  EXPECT_EQ(outcomes[0].instance, 0);
}

TEST(Fleet, NothingIsLostAndTheReportIsTheSameTwice) {
  FleetOptions options = Options();
  options.scheduler.num_gpu_blocks = 60;  // preemptions
  options.scheduler.max_model_len = 900;
  options.num_instances = 3;
  for (const Routing routing : {Routing::kRoundRobin, Routing::kLeastLoad, Routing::kPrefixAware}) {
    options.routing = routing;
    std::vector<RequestOutcome> first, second;
    const FleetReport a = RunFleet(Steady(200, 3000, 150, 60), LinearCost(), options, &first);
    const FleetReport b = RunFleet(Steady(200, 3000, 150, 60), LinearCost(), options, &second);
    EXPECT_EQ(a.output_tokens, 200 * 60);
    EXPECT_GT(a.num_preemptions, 0);
    EXPECT_EQ(a.ttft_ms.p99, b.ttft_ms.p99);
    EXPECT_EQ(a.seconds, b.seconds);
    for (size_t i = 0; i < first.size(); ++i) ASSERT_EQ(first[i].end_us, second[i].end_us);
  }
}

TEST(Fleet, RequestsThatCanNotRunAreCounted) {
  const FleetReport report = RunFleet(Steady(3, 1000, 9000, 5), LinearCost(), Options());
  EXPECT_EQ(report.num_refused, 3);
  EXPECT_EQ(report.output_tokens, 0);
  EXPECT_FALSE(Meets(report, {}));
}

TEST(Fleet, PrefixAwareRoutingFindsWhatRoundRobinScatters) {
  Trace trace;
  for (int i = 0; i < 400; ++i) {  // 20 conversations of 20 turns; each turn brings a new unit
    const uint32_t talk = static_cast<uint32_t>(i % 20);
    TraceRequest request{i * 40'000, 0, 8, {}};
    for (uint32_t unit = 0; unit <= static_cast<uint32_t>(i / 20); ++unit)
      request.prefix_ids.push_back(talk * 100 + unit);
    request.num_prompt_tokens = static_cast<int>(request.prefix_ids.size()) * 64;
    trace.requests.push_back(request);
  }
  trace.unit_tokens = 64;
  FleetOptions options = Options();
  options.num_instances = 7;
  const FleetReport scattered = RunFleet(trace, LinearCost(), options);
  options.routing = Routing::kPrefixAware;
  const FleetReport together = RunFleet(trace, LinearCost(), options);
  EXPECT_GT(together.hit_rate, 0.8);
  EXPECT_GT(together.hit_rate, scattered.hit_rate + 0.1);
  EXPECT_LT(together.ttft_ms.mean, scattered.ttft_ms.mean);
}

TEST(Fleet, SizeIsTheFewestInstancesThatMeetTheTarget) {
  const Trace trace = Steady(600, 1000, 200, 20);  // one instance serves about 100 requests a second, 1,000 come
  FleetOptions options = Options();
  options.routing = Routing::kLeastLoad;
  const LatencyTarget target{.ttft_p99_ms = 30, .tpot_p99_ms = 10};
  const Result<FleetReport> found = FindFleetSize(trace, LinearCost(), options, target, 10'000);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_TRUE(Meets(*found, target));
  EXPECT_GT(found->num_instances, 1);
  options.num_instances = found->num_instances - 1;
  EXPECT_FALSE(Meets(RunFleet(trace, LinearCost(), options), target));
  EXPECT_FALSE(FindFleetSize(trace, LinearCost(), options, {.ttft_p99_ms = 0.1}, 64).ok());
  EXPECT_NEAR(CostPerMillionTokens(*found, 3.6), 3.6 * found->num_instances * found->seconds / 3600 / 0.012, 1e-6);
}

TEST(Fleet, AFleetThatIsTooSmallIsGivenUpEarlyAndNeverWrongly) {
  Trace trace = Steady(1500, 1000, 200, 20);
  FleetOptions options = Options();
  options.routing = Routing::kLeastLoad;
  int num_given_up = 0;
  for (const double ttft : {8.0, 15.0, 60.0}) {
    for (const double tpot : {0.0, 1.5}) {
      for (const int instances : {1, 7, 10, 14}) {
        options.num_instances = instances;
        const LatencyTarget target{.ttft_p99_ms = ttft, .tpot_p99_ms = tpot};
        const FleetReport whole = RunFleet(trace, LinearCost(), options);
        const FleetReport watched = RunFleet(trace, LinearCost(), options, nullptr, &target);
        EXPECT_EQ(Meets(watched, target), Meets(whole, target)) << ttft << " " << tpot << " " << instances;
        num_given_up += watched.gave_up;
        if (!watched.gave_up) {
          EXPECT_EQ(watched.seconds, whole.seconds);
        } else if (instances == 1) {
          EXPECT_LT(watched.output_tokens, whole.output_tokens / 4);
        }
      }
    }
  }
  EXPECT_GT(num_given_up, 6);
}

TEST(Fleet, TenThousandInstances) {
  FleetOptions options = Options();
  options.scheduler.num_gpu_blocks = 64;
  options.scheduler.max_model_len = 512;
  options.num_instances = 10'000;
  const FleetReport report = RunFleet(Steady(20'000, 10, 64, 4), LinearCost(), options);
  EXPECT_EQ(report.output_tokens, 80'000);
}

TEST(Fleet, ReplaysTheRealTraces) {
  const char* data = std::getenv("MILLRACE_DATA");
  const std::string folder =
      (data != nullptr && *data != 0 ? data : MILLRACE_SOURCE_DIR "/../shared/data") + std::string("/traces/");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  FleetOptions options = Options();
  options.scheduler.num_gpu_blocks = 20'000;
  options.scheduler.max_model_len = 200'000;
  options.num_instances = 4;
  options.routing = Routing::kPrefixAware;
  for (const char* file : {"AzureLLMInferenceTrace_conv.csv", "AzureLLMInferenceTrace_code.csv",
                           "conversation_trace.jsonl", "synthetic_trace.jsonl"}) {
    const Result<Trace> trace = LoadTrace(folder + file, 300);
    ASSERT_TRUE(trace.ok()) << trace.status().message();
    const FleetReport report = RunFleet(*trace, LinearCost(), options);
    EXPECT_EQ(report.num_requests, 300);
    EXPECT_EQ(report.num_refused, 0) << file;
    EXPECT_GT(report.output_tokens, 300);
    fmt::print("{}: hit rate {:.2f}, p99 to the first token {:.0f} ms\n", file, report.hit_rate, report.ttft_ms.p99);
  }
}

}  // namespace
}  // namespace millrace::sim
