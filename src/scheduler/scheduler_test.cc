#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "scheduler/fake_runner.h"

namespace millrace {
namespace {

constexpr int kVocab = 1000;

SchedulerConfig Config() {
  SchedulerConfig config;
  config.kv_groups = {{.kind = KvGroupKind::kFull, .layers = {0}, .bytes_per_block = 64}};
  config.num_gpu_blocks = 1000;
  config.max_num_batched_tokens = 512;
  config.max_model_len = 8192;
  return config;
}

std::shared_ptr<Request> NewRequest(RequestId id, int prompt_tokens, int max_tokens, int first_token = 0) {
  auto request = std::make_shared<Request>();
  request->id = id;
  for (int i = 0; i < prompt_tokens; ++i) request->prompt_token_ids.push_back((first_token + i * 13) % kVocab);
  request->sampling.max_tokens = max_tokens;
  request->sampling.ignore_eos = true;
  return request;
}

// An engine loop with one step at a time and a clock that follows a cost per token.
class Engine {
 public:
  explicit Engine(const SchedulerConfig& config)
      : scheduler(config), runner_(config.kv_groups, config.num_gpu_blocks, config.num_cpu_blocks, kVocab) {}

  void Submit(std::shared_ptr<Request> request) {
    const auto ids = scheduler.Submit(std::move(request));
    ASSERT_TRUE(ids.ok()) << ids.status().message();
  }

  // Runs one step; false when there was nothing to run.
  bool Step() {
    batch = scheduler.Schedule(now_us);
    Take(scheduler.TakeEvents());
    if (batch.num_rows() == 0) return false;
    const StepResult result = runner_.Run(batch);
    EXPECT_EQ(runner_.error(), "");
    const int64_t step_us = 1000 + 100 * batch.num_tokens();
    now_us += step_us;
    Take(scheduler.Commit(result, step_us));
    EXPECT_EQ(scheduler.DescribeError(), "");
    return true;
  }

  void RunAll() {
    while (Step()) {
    }
  }

  Scheduler scheduler;
  int64_t now_us = 0;
  Batch batch;
  std::map<RequestId, std::vector<SequenceEvent>> events;
  std::map<RequestId, int64_t> first_token_us;
  std::vector<RequestId> ended;

 private:
  void Take(std::vector<SequenceEvent> taken) {
    for (SequenceEvent& event : taken) {
      if (!event.tokens.empty()) first_token_us.try_emplace(event.request, now_us);
      if (event.finish_reason != FinishReason::kNone) ended.push_back(event.request);
      events[event.request].push_back(std::move(event));
    }
  }
  FakeRunner runner_;
};

TEST(Scheduler, RequestsThatShareAnUncachedPrefixComputeItOnce) {
  Engine engine(Config());
  for (RequestId id = 1; id <= 32; ++id) {
    auto request = NewRequest(id, 2000, 4);
    request->prompt_token_ids.push_back(static_cast<TokenId>(id));  // own question after the shared prefix
    engine.Submit(request);
  }
  engine.RunAll();
  EXPECT_EQ(engine.ended.size(), 32u);
  const SchedulerStats stats = engine.scheduler.stats();
  // 2,001 tokens once, then each the last token of its own prompt, and three of its four new tokens.
  EXPECT_EQ(stats.computed_tokens, 2001 + 31 * 1 + 32 * 3);
  EXPECT_EQ(stats.prefix_cache_hits, 31 * 2000);
}

TEST(Scheduler, ChoicesShareTheirPrompt) {
  Engine engine(Config());
  auto request = NewRequest(1, 1005, 20);
  request->sampling.n = 8;
  engine.Submit(request);
  for (int i = 0; i < 5; ++i) engine.Step();
  EXPECT_EQ(engine.scheduler.stats().num_running, 8);
  // 62 full blocks shared; the last block of each choice is its own.
  EXPECT_EQ(engine.scheduler.stats().kv.num_in_use, 62 + 8);
  engine.RunAll();
  EXPECT_EQ(engine.ended.size(), 8u);
  EXPECT_EQ(engine.scheduler.stats().computed_tokens, 1005 + 7 + 8 * 19);
}

TEST(Scheduler, APausedRequestGivesUpItsPlaceAndFindsItsPrefixAgain) {
  SchedulerConfig config = Config();
  config.max_num_seqs = 1;
  Engine engine(config);
  engine.Submit(NewRequest(1, 1000, 40));
  for (int i = 0; i < 20; ++i) engine.Step();
  ASSERT_TRUE(engine.scheduler.SetPaused(1, true));
  EXPECT_EQ(engine.scheduler.stats().kv.num_in_use, 0);
  EXPECT_FALSE(engine.Step());
  engine.Submit(NewRequest(2, 100, 5, 7));
  engine.RunAll();
  EXPECT_EQ(engine.ended, std::vector<RequestId>{2});
  EXPECT_EQ(engine.scheduler.stats().num_paused, 1);
  EXPECT_EQ(engine.scheduler.stats().num_waiting, 0);
  ASSERT_TRUE(engine.scheduler.SetPaused(1, false));
  const int64_t before = engine.scheduler.stats().computed_tokens;
  engine.RunAll();
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{2, 1}));
  EXPECT_LT(engine.scheduler.stats().computed_tokens - before, kKvBlockTokens + 40);  // at most a block again
  EXPECT_EQ(engine.scheduler.stats().num_preemptions, 0);
  EXPECT_FALSE(engine.scheduler.SetPaused(1, true));  // it has ended
}

TEST(Scheduler, AGroupDoesNotWaitForAPausedMember) {
  SchedulerConfig config = Config();
  config.batching = BatchingMode::kStatic;
  config.max_num_seqs = 2;
  Engine engine(config);
  for (RequestId id = 1; id <= 3; ++id) engine.Submit(NewRequest(id, 50, 10, static_cast<int>(id)));
  engine.Step();
  engine.scheduler.SetPaused(1, true);
  engine.RunAll();
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{2, 3}));
  engine.scheduler.SetPaused(1, false);
  engine.RunAll();
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{2, 3, 1}));
}

TEST(Scheduler, TheNextBatchIsBuiltWhileAStepRuns) {
  const SchedulerConfig config = Config();
  Scheduler scheduler(config);
  FakeRunner runner(config.kv_groups, config.num_gpu_blocks, 0, kVocab);
  ASSERT_TRUE(scheduler.Submit(NewRequest(1, 100, 10)).ok());
  StepResult running = runner.Run(scheduler.Schedule(0));
  int generated = 0;
  for (int step = 2; step <= 10; ++step) {
    const Batch next = scheduler.Schedule(0);
    ASSERT_EQ(next.token_ids, std::vector<int32_t>{-1}) << "step " << step;
    for (const SequenceEvent& event : scheduler.Commit(running)) generated += static_cast<int>(event.tokens.size());
    running = runner.Run(next);
    ASSERT_EQ(runner.error(), "");
  }
  EXPECT_EQ(generated, 9);
  EXPECT_EQ(scheduler.Schedule(0).num_rows(), 0);  // the tenth token is the last
  const std::vector<SequenceEvent> last = scheduler.Commit(running);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].finish_reason, FinishReason::kLength);
}

TEST(Scheduler, PromptLogprobsComeForCachedPositionsToo) {
  Engine engine(Config());
  engine.Submit(NewRequest(1, 200, 1));
  engine.RunAll();
  auto request = NewRequest(2, 200, 1);
  request->sampling.prompt_logprobs = 0;
  engine.Submit(request);
  engine.RunAll();
  size_t count = 0;
  for (const SequenceEvent& event : engine.events[2]) count += event.prompt_logprobs.size();
  EXPECT_EQ(count, 199u);
}

TEST(Scheduler, ALongPromptDoesNotStallTheStreamsOfOthers) {
  SchedulerConfig config = Config();
  config.max_num_batched_tokens = 2048;
  config.max_model_len = 8000;
  config.target_inter_token_us = 20'000;  // about 180 tokens a step at 1,000 + 100 per token
  Engine engine(config);
  for (RequestId id = 1; id <= 4; ++id) engine.Submit(NewRequest(id, 16, 200, static_cast<int>(id) * 7));
  for (int i = 0; i < 10; ++i) engine.Step();
  engine.Submit(NewRequest(5, 7000, 4, 500));
  int64_t worst_us = 0;
  int over = 0;
  while (!engine.first_token_us.contains(5)) {
    const int64_t begin_us = engine.now_us;
    ASSERT_TRUE(engine.Step());
    worst_us = std::max(worst_us, engine.now_us - begin_us);
    over += engine.now_us - begin_us > 22'000;
    int decodes = 0;
    for (int row = 0; row < engine.batch.num_rows(); ++row) decodes += engine.batch.sequences[row] <= 4;
    ASSERT_EQ(decodes, 4);  // nobody waits
  }
  EXPECT_LE(over, 4);  // the steps in which the planner learns the cost
  config.step_cost = {1000, 100, 100, 0};
  Engine knows(config);
  for (RequestId id = 1; id <= 4; ++id) knows.Submit(NewRequest(id, 16, 200, static_cast<int>(id) * 7));
  for (int i = 0; i < 10; ++i) knows.Step();
  knows.Submit(NewRequest(5, 7000, 4, 500));
  while (!knows.first_token_us.contains(5)) {
    const int64_t begin_us = knows.now_us;
    ASSERT_TRUE(knows.Step());
    EXPECT_LE(knows.now_us - begin_us, 22'000);
  }
}

TEST(Scheduler, AShortPromptOvertakesALongOneAmidItsPrefill) {
  Engine engine(Config());
  engine.Submit(NewRequest(1, 8000, 1));
  engine.Step();
  engine.Submit(NewRequest(2, 100, 1, 500));
  engine.Step();
  EXPECT_EQ(engine.ended, std::vector<RequestId>{2});
  engine.RunAll();
  EXPECT_EQ(engine.ended.back(), 1u);
}

std::vector<RequestId> OrderOf(SchedulingPolicy policy, const std::function<void(Request&)>& change,
                               int warm_prefix = 0) {
  SchedulerConfig config = Config();
  config.policy = policy;
  config.max_num_seqs = 1;
  Engine engine(config);
  if (warm_prefix > 0) {
    engine.Submit(NewRequest(100, warm_prefix, 1, 17 * 4));  // a prefix of request 4's prompt
    engine.RunAll();
    engine.ended.clear();
  }
  for (RequestId id = 1; id <= 6; ++id) {
    auto request = NewRequest(id, 64, 2, static_cast<int>(id) * 17);
    change(*request);
    engine.Submit(request);
  }
  engine.RunAll();
  return engine.ended;
}

TEST(Scheduler, PoliciesOrderTheQueue) {
  using Order = std::vector<RequestId>;
  const auto three_tenants = [](Request& r) { r.tenant = r.id <= 4 ? "a" : r.id == 5 ? "b" : "c"; };
  EXPECT_EQ(OrderOf(SchedulingPolicy::kFcfs, [](Request&) {}), (Order{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(OrderOf(SchedulingPolicy::kPriority, [](Request& r) { r.priority = -static_cast<int>(r.id) / 3; }),
            (Order{6, 3, 4, 5, 1, 2}));
  EXPECT_EQ(OrderOf(
                SchedulingPolicy::kLongestPrefixFirst, [](Request&) {}, 48),
            (Order{4, 1, 2, 3, 5, 6}));
  EXPECT_EQ(OrderOf(SchedulingPolicy::kRoundRobin, three_tenants), (Order{1, 5, 6, 2, 3, 4}));
  EXPECT_EQ(OrderOf(SchedulingPolicy::kFair, three_tenants), (Order{1, 5, 6, 2, 3, 4}));
}

TEST(Scheduler, FairSharesServiceBetweenAFloodAndAVisitor) {
  SchedulerConfig config = Config();
  config.policy = SchedulingPolicy::kFair;
  config.max_num_seqs = 2;
  Engine engine(config);
  for (RequestId id = 1; id <= 40; ++id) {
    auto request = NewRequest(id, 100, 10, static_cast<int>(id) * 31);
    request->tenant = id <= 35 ? "flood" : "visitor";
    engine.Submit(request);
  }
  engine.RunAll();
  // The visitor's five requests end among the first twelve, though 35 were there before.
  const auto last = std::find(engine.ended.begin(), engine.ended.end(), 40u);
  EXPECT_LE(last - engine.ended.begin(), 12);
}

TEST(Scheduler, AnUrgentRequestTakesThePlaceOfALessUrgentOne) {
  SchedulerConfig config = Config();
  config.policy = SchedulingPolicy::kPriority;
  config.max_num_seqs = 2;
  Engine engine(config);
  for (RequestId id = 1; id <= 2; ++id) {
    auto request = NewRequest(id, 50, 30, static_cast<int>(id));
    request->priority = 5;
    engine.Submit(request);
  }
  for (int i = 0; i < 5; ++i) engine.Step();
  engine.Submit(NewRequest(3, 50, 3, 300));
  engine.RunAll();
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{3, 1, 2}));
  EXPECT_EQ(engine.scheduler.stats().num_preemptions, 1);
}

TEST(Scheduler, DeadlinesAndQueueTimeoutsEndRequests) {
  SchedulerConfig config = Config();
  config.max_num_seqs = 1;
  Engine engine(config);
  auto slow = NewRequest(1, 10, 1000);
  slow->deadline_us = 50'000;
  auto waits = NewRequest(2, 10, 5);
  waits->queue_timeout_us = 10'000;
  engine.Submit(slow);
  engine.Submit(waits);
  EXPECT_EQ(engine.scheduler.NextWakeUs(), 10'000);
  engine.RunAll();
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{2, 1}));
  EXPECT_EQ(engine.events[1].back().finish_reason, FinishReason::kTimeout);
  EXPECT_EQ(engine.events[2].back().finish_reason, FinishReason::kTimeout);
  EXPECT_GT(engine.events[1].size(), 10u);
  EXPECT_TRUE(engine.scheduler.idle());
  EXPECT_EQ(engine.scheduler.stats().kv.num_in_use, 0);
}

TEST(Scheduler, StaticBatchesWaitForAllOfTheirMembers) {
  SchedulerConfig config = Config();
  config.batching = BatchingMode::kStatic;
  config.max_num_seqs = 2;
  Engine engine(config);
  for (RequestId id = 1; id <= 4; ++id) engine.Submit(NewRequest(id, 10, id == 1 ? 20 : 2, static_cast<int>(id)));
  engine.RunAll();
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{2, 1, 3, 4}));
}

TEST(Scheduler, DynamicBatchesGroupSimilarLengthsAndLoseNothing) {
  SchedulerConfig config = Config();
  config.batching = BatchingMode::kDynamic;
  config.dynamic.max_batch = 5;
  Engine engine(config);
  // Within 1.3 of 100 both ways: 100, 77, 130; not 76 and 131.
  const std::vector<int> lengths = {100, 77, 131, 76, 130};
  for (size_t i = 0; i < lengths.size(); ++i)
    engine.Submit(NewRequest(i + 1, lengths[i], 1, static_cast<int>(i) * 100));
  EXPECT_FALSE(engine.Step());  // three of five are similar: not yet 0.8 full
  EXPECT_EQ(engine.scheduler.NextWakeUs(), 200'000);
  engine.Submit(NewRequest(6, 110, 1, 700));
  EXPECT_TRUE(engine.Step());  // four of five
  EXPECT_EQ(engine.ended, (std::vector<RequestId>{1, 2, 5, 6}));
  EXPECT_FALSE(engine.Step());
  engine.now_us = 200'000;  // the two left are dissimilar and fewer than half a batch: they go together
  EXPECT_TRUE(engine.Step());
  EXPECT_EQ(engine.ended.size(), 6u);
}

TEST(Scheduler, AFailedStepEndsItsRequestsAndCachesNothing) {
  SchedulerConfig config = Config();
  Scheduler scheduler(config);
  ASSERT_TRUE(scheduler.Submit(NewRequest(1, 100, 5)).ok());
  const Batch batch = scheduler.Schedule(0);
  const std::vector<SequenceEvent> events = scheduler.CommitFailed(batch.step_id, "device lost");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish_reason, FinishReason::kError);
  EXPECT_EQ(events[0].error, "device lost");
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(scheduler.CachedPrefix({}, NewRequest(2, 100, 5)->prompt_token_ids), 0);
  EXPECT_EQ(scheduler.stats().kv.num_free, config.num_gpu_blocks);
}

TEST(Scheduler, APinnedPromptOutlivesOthersUntilItsTimeIsOver) {
  SchedulerConfig config = Config();
  config.num_gpu_blocks = 40;
  Engine engine(config);
  auto pinned = NewRequest(1, 160, 1);
  pinned->cache_ttl_us = 10'000'000;
  engine.Submit(pinned);
  engine.RunAll();
  const auto cached = [&] { return engine.scheduler.CachedPrefix({}, pinned->prompt_token_ids); };
  const auto flood = [&](RequestId first) {
    for (RequestId id = first; id < first + 8; ++id) {
      engine.Submit(NewRequest(id, 300, 1, static_cast<int>(id) * 37));
      engine.RunAll();
    }
  };
  flood(2);
  EXPECT_EQ(cached(), 160);
  EXPECT_EQ(engine.scheduler.stats().kv.prefix.num_pinned_nodes, 10);
  engine.now_us += 10'000'000;
  flood(20);
  EXPECT_EQ(cached(), 0);
  EXPECT_EQ(engine.scheduler.stats().kv.prefix.num_pinned_nodes, 0);
}

TEST(Scheduler, WindowLayersFreeWhatTheyCanNotSee) {
  SchedulerConfig config = Config();
  config.enable_prefix_caching = false;
  config.kv_groups.push_back({.kind = KvGroupKind::kWindow, .layers = {1}, .bytes_per_block = 64, .window_tokens = 64});
  Engine engine(config);
  engine.Submit(NewRequest(1, 1600, 100));
  int generated = 0;
  while (engine.Step() && engine.ended.empty()) {
    generated = static_cast<int>(engine.events[1].size());
    if (generated == 0) continue;
    // The full group holds every token; the window of 64 takes at most 5 blocks while decoding, whatever the length.
    const int full = (1600 + generated - 1 + 15) / 16;
    EXPECT_LE(engine.scheduler.stats().kv.num_in_use, full + (generated == 1 ? 40 : 5)) << generated;
  }
  EXPECT_EQ(generated, 99);
}

TEST(Scheduler, EventsTellHowLongTheRequestWaited) {
  SchedulerConfig config = Config();
  config.max_num_seqs = 1;
  Engine engine(config);
  engine.Submit(NewRequest(1, 10, 3));
  engine.Submit(NewRequest(2, 10, 3, 300));
  engine.RunAll();
  EXPECT_EQ(engine.events[1].back().queue_us, 0);
  EXPECT_EQ(engine.events[2].front().queue_us, 3 * 1000 + (10 + 1 + 1) * 100);
}

TEST(Scheduler, RequestsThatCanNotRunAreRefusedWithAReason) {
  SchedulerConfig config = Config();
  config.num_gpu_blocks = 10;
  config.max_model_len = 500;
  config.max_num_waiting = 1;
  Scheduler scheduler(config);
  const auto message = [&](std::shared_ptr<Request> request) {
    return scheduler.Submit(std::move(request)).status().message();
  };
  EXPECT_EQ(message(NewRequest(1, 500, 1)), "the prompt has 500 tokens, expected fewer than max_model_len 500");
  EXPECT_EQ(message(NewRequest(1, 160, 1)), "the prompt has 160 tokens, the 10 KV blocks hold 160 (num_gpu_blocks)");
  EXPECT_EQ(message(NewRequest(1, 0, 1)), "the prompt has no tokens");
  EXPECT_TRUE(scheduler.Submit(NewRequest(1, 5, 1)).ok());
  EXPECT_EQ(scheduler.Submit(NewRequest(2, 5, 1)).status().code(), StatusCode::kResourceExhausted);
}

TEST(Scheduler, TheWaitingScoreTakesAnyPriority) {
  SchedulerConfig config = Config();
  config.victim_policy = VictimPolicy::kWaitingScore;
  config.num_gpu_blocks = 8;
  config.max_model_len = 100;
  Engine engine(config);
  for (RequestId id = 1; id <= 4; ++id) {
    auto request = NewRequest(id, 20, 70, static_cast<int>(id));
    request->priority = static_cast<int>(id) - 3;  // -2 .. 1
    engine.Submit(request);
  }
  engine.RunAll();
  EXPECT_EQ(engine.ended.size(), 4u);
  EXPECT_GT(engine.scheduler.stats().num_preemptions, 0);
}

TEST(SchedulerConfig, PresetsAreValidAndErrorsNameTheOption) {
  for (const char* mode : {"low-latency", "balanced", "high-throughput"}) {
    SchedulerConfig config = Config();
    EXPECT_TRUE(ApplySchedulerPreset(mode, config).ok());
    EXPECT_TRUE(ValidateSchedulerConfig(config).ok()) << mode;
  }
  SchedulerConfig config = Config();
  EXPECT_EQ(ApplySchedulerPreset("quick", config).message(),
            "mode is \"quick\", expected low-latency, balanced or high-throughput");
  config.max_num_seqs = 0;
  EXPECT_EQ(ValidateSchedulerConfig(config).message(), "max_num_seqs is 0, expected at least 1");
}

TEST(ChunkPlanner, HalfInOrderAndHalfToTheShortest) {
  EXPECT_EQ(ChunkPlanner::Split(100, {1000, 30, 80}), (std::vector<int>{50, 30, 20}));
  EXPECT_EQ(ChunkPlanner::Split(100, {1000, 10}), (std::vector<int>{90, 10}));
  EXPECT_EQ(ChunkPlanner::Split(100, {20, 1000}), (std::vector<int>{20, 80}));
  EXPECT_EQ(ChunkPlanner::Split(0, {20}), (std::vector<int>{0}));
}

}  // namespace
}  // namespace millrace
