// What an engine refuses, survives, decides and keeps.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <thread>

#include "base/file.h"
#include "engine/engine_test_util.h"
#include "engine/open.h"

namespace millrace {
namespace {

// A checkpoint whose embedding of one token is NaN: whoever uses the token breaks its own row.
class PoisonedCheckpoint : public Checkpoint {
 public:
  PoisonedCheckpoint(std::shared_ptr<const Checkpoint> base, TokenId token) : base_(std::move(base)) {
    const WeightTensor& original = *base_->Find(kName);
    tensor_ = original;
    bytes_.assign(original.data, original.data + original.bytes());
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (int64_t i = 0; i < original.cols; ++i) {
      std::memcpy(bytes_.data() + (token * original.cols + i) * 4, &nan, sizeof(nan));
    }
    tensor_.data = bytes_.data();
  }
  const ModelConfig& config() const override { return base_->config(); }
  const CheckpointInfo& info() const override { return base_->info(); }
  const GenerationDefaults& generation_defaults() const override { return base_->generation_defaults(); }
  const std::string& chat_template() const override { return base_->chat_template(); }
  const WeightTensor* Find(std::string_view name) const override {
    return name == kName ? &tensor_ : base_->Find(name);
  }
  std::vector<const WeightTensor*> tensors() const override { return base_->tensors(); }
  Result<std::unique_ptr<Tokenizer>> MakeTokenizer() const override { return base_->MakeTokenizer(); }
  void Release(const WeightTensor& tensor) const override { base_->Release(tensor); }

 private:
  static constexpr std::string_view kName = "model.embed_tokens.weight";
  const std::shared_ptr<const Checkpoint> base_;
  WeightTensor tensor_;
  std::vector<std::byte> bytes_;
};

TEST(Engine, ANanFailsOneRequestAlone) {
  const Result<std::shared_ptr<const Checkpoint>> base = OpenModel("synth:tiny-llama:F32");
  ASSERT_TRUE(base.ok());
  EngineOptions options;
  options.max_num_batched_tokens = 32;
  Result<std::unique_ptr<Engine>> engine = Engine::Open(std::make_shared<PoisonedCheckpoint>(*base, 9), options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const Request good = GreedyRequest({5, 6, 7}, 20);
  const Collected alone = RunAll(**engine, {good})[0][0];
  Request bad = GreedyRequest(std::vector<TokenId>(70, 8), 20);  // in chunks, the poison in the second
  bad.prompt_token_ids[40] = 9;
  Request scored = GreedyRequest({4, 9, 4}, 5);
  scored.sampling.prompt_logprobs = 0;
  const auto results = RunAll(**engine, {good, bad, good, scored});
  EXPECT_EQ(results[0][0].tokens, alone.tokens);
  EXPECT_EQ(results[2][0].tokens, alone.tokens);
  for (const int i : {1, 3}) {
    EXPECT_EQ(results[static_cast<size_t>(i)][0].reason, FinishReason::kError);
    EXPECT_EQ(results[static_cast<size_t>(i)][0].error, "the model produced a logit that is not finite");
  }
  // What it computed is not shared with others.
  Request prefix =
      GreedyRequest(std::vector<TokenId>(bad.prompt_token_ids.begin(), bad.prompt_token_ids.begin() + 40), 5);
  EXPECT_EQ(RunAll(**engine, {prefix})[0][0].error, "");
}

class FailingSteps : public StepObserver {
 public:
  std::atomic<bool> fail{false};
  void BeforeStep(const Batch&) override {
    if (fail.exchange(false)) throw std::runtime_error("device lost");
  }
  void AfterStep(const Batch&, int64_t) override {}
};

TEST(Engine, AnExceptionEndsItsStepsRequestsAndNothingElse) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  options.idle_check_us = 1000;
  FailingSteps steps;
  options.observer = &steps;
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  const Request request = GreedyRequest({5, 6, 7, 8}, 30);
  const Collected alone = RunAll(*engine, {request})[0][0];
  steps.fail = true;
  const Collected failed = RunAll(*engine, {request})[0][0];
  EXPECT_EQ(failed.reason, FinishReason::kError);
  EXPECT_EQ(failed.error, "the step failed: device lost");
  EXPECT_EQ(RunAll(*engine, {request})[0][0].tokens, alone.tokens);
  EXPECT_EQ(engine->stats().num_failed_steps, 1);
  while (engine->stats().num_integrity_checks == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(engine->stats().integrity_error, "");
  EXPECT_EQ(engine->stats().scheduler.kv.num_in_use, 0);
}

TEST(Engine, RequestsThatCanNeverRunAreRefusedAtOnce) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  options.max_num_seqs = 2;
  options.max_num_waiting = 3;
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  const auto refusal = [&](const Request& request) { return engine->Submit(request, [](RequestOutput) {}).status(); };
  Request beams = GreedyRequest({5, 6}, 4);
  beams.sampling.use_beam_search = true;
  beams.sampling.n = 3;
  EXPECT_EQ(refusal(beams).code(), StatusCode::kOutOfRange);
  Request many = GreedyRequest({5, 6}, 4);
  many.sampling.n = 6;
  EXPECT_EQ(refusal(many).code(), StatusCode::kOutOfRange);
  std::vector<RequestId> ids;
  for (int i = 0; i < 5; ++i) {
    const Result<RequestId> id = engine->Submit(GreedyRequest({3, 4, i + 5}, 0), [](RequestOutput) {});
    ASSERT_TRUE(id.ok()) << id.status().message();
    ids.push_back(*id);
  }
  const Status full = refusal(GreedyRequest({5, 6}, 4));
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(full.message(),
            "5 sequences are open and 1 more were asked for, the limit is 5 (--max-num-seqs and --max-queued)");
  for (const RequestId id : ids) engine->Abort(id);
  EXPECT_TRUE(engine->Drain(10'000'000));
  EXPECT_EQ(RunAll(*engine, {GreedyRequest({3, 4}, 4)})[0][0].error, "");
}

// Saved by one engine, restored by another: the same answer, with the prompt taken from the file.
TEST(Engine, ASavedPromptIsRestored) {
  const std::string path = testing::TempDir() + "prompt.kv";
  for (const char* model : {"synth:tiny-llama:Q8_0", "synth:tiny-gemma3:Q8_0"}) {
    EngineOptions options;
    options.model = model;
    options.kv_cache_bytes = 16 << 20;
    std::vector<TokenId> prompt;
    for (int i = 0; i < 100; ++i) prompt.push_back(3 + i * 7 % 200);
    const Request request = GreedyRequest(prompt, 12);
    Collected computed;
    {
      const std::unique_ptr<Engine> engine = OpenEngine(options);
      EXPECT_EQ(engine->SavePrompt({}, prompt, path).status().code(), StatusCode::kNotFound);
      computed = RunAll(*engine, {request})[0][0];
      const Result<int> saved = engine->SavePrompt({}, prompt, path);
      ASSERT_TRUE(saved.ok()) << saved.status().message();
      EXPECT_EQ(*saved, 96);
    }
    const std::unique_ptr<Engine> engine = OpenEngine(options);
    const Result<int> restored = engine->LoadPrompt({}, path);
    ASSERT_TRUE(restored.ok()) << restored.status().message();
    EXPECT_EQ(*restored, 96);
    const Collected answer = RunAll(*engine, {request})[0][0];
    EXPECT_EQ(answer.tokens, computed.tokens) << model;
    EXPECT_EQ(answer.num_cached_tokens, 96) << model;

    std::string damaged = *ReadFile(path, 64 << 20);
    damaged[damaged.size() / 2] ^= 1;
    ASSERT_TRUE(WriteFileAtomic(path, damaged).ok());
    EXPECT_EQ(engine->LoadPrompt({}, path).status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(engine->LoadPrompt({}, path + ".none").status().code(), StatusCode::kNotFound);
  }
  EngineOptions options;
  options.model = "synth:tiny-qwen3-next:BF16";
  EXPECT_EQ(OpenEngine(options)->SavePrompt({}, std::vector<TokenId>{1, 2}, path).status().code(),
            StatusCode::kUnsupported);
}

TEST(Engine, TheModeDecidesWhatTheUserDidNot) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  options.mode = "high-throughput";
  EXPECT_EQ(OpenEngine(options)->max_num_seqs(), 512);
  options.max_num_seqs = 3;
  EXPECT_EQ(OpenEngine(options)->max_num_seqs(), 3);
  options.mode = "fast";
  EXPECT_FALSE(Engine::Open(options).ok());
  options.mode = "";
  options.preemption_policy = "oldest";
  EXPECT_EQ(Engine::Open(options).status().message(),
            "--preemption-policy is oldest, expected latest, lowest-priority, least-generated or waiting-score");
}

TEST(Engine, EveryPolicyWarmsUpAndAnswers) {
  for (const char* batching : {"continuous", "static", "dynamic"}) {
    for (const char* victim : {"latest", "lowest-priority", "least-generated", "waiting-score"}) {
      EngineOptions options;
      options.model = "synth:tiny-llama:Q4_0";
      options.num_threads = 1;
      options.kv_cache_bytes = 1 << 20;
      options.warm_up = true;
      options.batching = batching;
      options.preemption_policy = victim;
      const std::unique_ptr<Engine> engine = OpenEngine(options);
      ASSERT_NE(engine, nullptr) << batching << " " << victim;
      EXPECT_EQ(RunAll(*engine, {GreedyRequest({3, 4}, 4)})[0][0].tokens.size(), 4u);
    }
  }
}

TEST(Engine, TheDryRunNamesEveryPart) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  options.kv_cache_bytes = 4 << 20;
  options.swap_space_bytes = 1 << 20;
  const Result<std::string> plan = Engine::DryRun(options);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  for (const char* part : {"weights", "workspace", "KV cache        4.0 MiB", "swap space      1.0 MiB", "total",
                           "left", "as --kv-cache-bytes says"}) {
    EXPECT_NE(plan->find(part), std::string::npos) << part << " in\n" << *plan;
  }
}

TEST(MemoryPlan, FitsOrSaysWhy) {
  MemoryPlanInput input{.available_bytes = 1000 << 20,
                        .block_bytes = 1 << 20,
                        .blocks_per_sequence = 64,
                        .max_model_len = 1024,
                        .max_num_seqs = 4};
  EXPECT_EQ(PlanKvMemory(input)->num_blocks, 256);
  input.max_num_seqs = 100;
  EXPECT_EQ(PlanKvMemory(input)->num_blocks, 800);
  input.available_bytes = 40 << 20;
  EXPECT_EQ(PlanKvMemory(input)->max_model_len, 512);
  input.max_model_len_given = true;
  EXPECT_EQ(PlanKvMemory(input).status().code(), StatusCode::kResourceExhausted);
  input.kv_cache_bytes = 64 << 20;
  EXPECT_EQ(PlanKvMemory(input)->num_blocks, 64);
}

}  // namespace
}  // namespace millrace
