// Whole models through the runner on the emulated GPU against the same runner on the CPU: tokens and log probabilities,
// chunked prefill, several sequences, device sampling, block copies.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "cuda/test_device.h"
#include "model_loader/synth.h"
#include "runtime/model_runner.h"

namespace millrace::cuda {
namespace {

// The environment names the folder where the tests run on another machine than they were built on.
std::string GoldenDir() {
  const char* folder = std::getenv("MILLRACE_GOLDEN_MODELS");
  return folder != nullptr ? std::string(folder) + "/" : std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/models/";
}

constexpr int kBlocksPerSequence = 20;

// Runs steps by hand: sequence s owns blocks [12 s, 12 s + 12) of every group.
class Harness {
 public:
  Harness(std::shared_ptr<const Checkpoint> checkpoint, bool cuda, bool enforce_eager = false) {
    RunnerOptions options;
    options.enforce_eager = enforce_eager;
    options.num_threads = 1;
    options.max_model_len = kBlocksPerSequence * kKvBlockTokens;
    options.max_num_batched_tokens = 64;
    options.max_num_seqs = 4;
    Result<std::unique_ptr<ModelRunner>> runner =
        cuda ? ModelRunner::Create(std::move(checkpoint), CudaOpTable(), options, {})
             : ModelRunner::Create(std::move(checkpoint), options, {});
    CHECK(runner.ok(), "{}", runner.status().message());
    runner_ = std::move(*runner);
    groups_ = static_cast<int>(runner_->model().kv_groups().size());
    CHECK(runner_->AllocateKv(4 * kBlocksPerSequence * groups_).ok());
  }

  struct Row {
    int sequence, context;
    std::vector<int32_t> tokens;
  };
  // Scores token `target` at every new position.
  std::vector<OutputResult> Score(const std::vector<Row>& rows, TokenId target) {
    Batch batch = MakeBatch(rows);
    for (int r = 0; r < batch.num_rows(); ++r) {
      for (int t = batch.query_start[static_cast<size_t>(r)]; t < batch.query_start[static_cast<size_t>(r) + 1]; ++t) {
        batch.outputs.push_back({.token_index = t, .row = r, .sample = false, .target = target, .num_logprobs = 2});
      }
    }
    return runner_->Submit(std::move(batch)).Wait().outputs;
  }
  // Draws the next token of every row.
  std::vector<OutputResult> Draw(const std::vector<Row>& rows, const SamplingParams* start = nullptr) {
    Batch batch = MakeBatch(rows);
    for (int r = 0; r < batch.num_rows(); ++r) {
      const Row& row = rows[static_cast<size_t>(r)];
      const int position = row.context + static_cast<int>(row.tokens.size());
      batch.outputs.push_back(
          {.token_index = batch.query_start[static_cast<size_t>(r) + 1] - 1, .row = r, .output_position = position});
      if (start == nullptr) continue;
      SequenceStart sequence;
      sequence.sequence = static_cast<SequenceId>(row.sequence);
      sequence.sampling = std::make_shared<const SamplingParams>(*start);
      sequence.token_ids = row.tokens;
      sequence.num_prompt_tokens = static_cast<int>(row.tokens.size());
      batch.started.push_back(sequence);
    }
    return runner_->Submit(std::move(batch)).Wait().outputs;
  }
  // One vector of every row.
  std::vector<OutputResult> Pool(const std::vector<Row>& rows, Pooling pooling) {
    Batch batch = MakeBatch(rows);
    for (int r = 0; r < batch.num_rows(); ++r) {
      const int position = static_cast<int>(rows[static_cast<size_t>(r)].tokens.size());
      batch.outputs.push_back(
          {.token_index = batch.query_start[static_cast<size_t>(r) + 1] - 1, .row = r, .output_position = position});
      batch.outputs.back().pooling = pooling;
    }
    return runner_->Submit(std::move(batch)).Wait().outputs;
  }
  int64_t num_replays() const { return runner_->times().num_replays; }
  void CopySequence(int from, int to) {
    for (int g = 0; g < groups_; ++g) {
      for (int b = 0; b < kBlocksPerSequence; ++b) copies_.push_back({Block(from, g) + b, Block(to, g) + b});
    }
  }

 private:
  int Block(int sequence, int group) const { return (sequence * groups_ + group) * kBlocksPerSequence; }
  Batch MakeBatch(const std::vector<Row>& rows) {
    Batch batch;
    batch.step_id = ++step_;
    batch.copies = std::move(copies_);
    copies_.clear();
    batch.query_start = {0};
    batch.groups.resize(static_cast<size_t>(groups_));
    for (GroupTables& tables : batch.groups) tables.row_start = {0};
    for (const Row& row : rows) {
      batch.sequences.push_back(static_cast<SequenceId>(row.sequence));
      batch.context_len.push_back(row.context);
      batch.adapter_index.push_back(0);
      for (size_t i = 0; i < row.tokens.size(); ++i) {
        batch.token_ids.push_back(row.tokens[i]);
        batch.positions.push_back(row.context + static_cast<int>(i));
      }
      batch.query_start.push_back(batch.num_tokens());
      const int end = row.context + static_cast<int>(row.tokens.size());
      for (int g = 0; g < groups_; ++g) {
        GroupTables& tables = batch.groups[static_cast<size_t>(g)];
        for (int b = 0; b * kKvBlockTokens < end; ++b) tables.block_ids.push_back(Block(row.sequence, g) + b);
        tables.row_start.push_back(static_cast<int32_t>(tables.block_ids.size()));
      }
    }
    return batch;
  }

  std::unique_ptr<ModelRunner> runner_;
  int groups_ = 0;
  uint64_t step_ = 0;
  std::vector<BlockCopy> copies_;
};

std::vector<int32_t> Tokens(int first, int count, int vocab) {
  std::vector<int32_t> tokens;
  for (int i = first; i < first + count; ++i) tokens.push_back(3 + i * 31 % (vocab - 3));
  return tokens;
}

// Log probabilities of both devices, position by position. `tolerance` in nats.
void ExpectSameScores(const std::shared_ptr<const Checkpoint>& checkpoint, double tolerance) {
  const int vocab = checkpoint->config().vocab_size;
  Harness cpu(checkpoint, false), gpu(checkpoint, true);
  const std::vector<std::vector<Harness::Row>> steps = {
      {{0, 0, Tokens(0, 30, vocab)}, {1, 0, Tokens(50, 3, vocab)}},
      {{1, 3, Tokens(53, 1, vocab)}, {0, 30, Tokens(30, 1, vocab)}, {2, 0, Tokens(7, 20, vocab)}},
      {{0, 31, Tokens(31, 29, vocab)}, {2, 20, Tokens(27, 2, vocab)}}};
  for (size_t s = 0; s < steps.size(); ++s) {
    const auto expected = cpu.Score(steps[s], 5), actual = gpu.Score(steps[s], 5);
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_FALSE(actual[i].failed) << actual[i].error;
      EXPECT_NEAR(actual[i].logprob, expected[i].logprob, tolerance) << "step " << s << ", output " << i;
      const float lead = expected[i].top[0].logprob - expected[i].top[1].logprob;
      if (lead <= 2 * tolerance) continue;  // a near tie
      EXPECT_EQ(actual[i].top[0].token, expected[i].top[0].token) << "step " << s << ", output " << i;
    }
  }
}

TEST(CudaModel, GoldenCheckpoints) {
  for (const std::string name : {"llama", "llama-tied", "qwen2", "qwen3", "mistral", "phi3", "granite", "smollm3",
                                 "gemma2", "gemma3", "olmo2", "gpt2", "mixtral", "qwen3-moe", "gpt-oss"}) {
    SCOPED_TRACE(name);
    Result<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(GoldenDir() + name);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    // The checkpoints are f32: their weights and activations lose 2^-9 here.
    ExpectSameScores(std::move(*checkpoint), 0.15);
  }
}

TEST(CudaModel, EveryWeightFormat) {
  for (const std::string type : {"BF16", "F16", "Q8_0", "Q4_0", "Q4_K_M"}) {
    SCOPED_TRACE(type);
    Result<std::unique_ptr<Checkpoint>> checkpoint = MakeSynthCheckpoint("tiny-llama", type);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    ExpectSameScores(std::move(*checkpoint), 0.1);
  }
}

TEST(CudaModel, PoolsTheSameVectors) {
  Result<std::unique_ptr<Checkpoint>> made = MakeSynthCheckpoint("tiny-llama", "BF16");
  ASSERT_TRUE(made.ok()) << made.status().message();
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*made);
  const int vocab = checkpoint->config().vocab_size;
  Harness cpu(checkpoint, false), gpu(checkpoint, true);
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    const std::vector<Harness::Row> rows = {{0, 0, Tokens(0, 9, vocab)}, {1, 0, Tokens(5, 20, vocab)}};
    const auto expected = cpu.Pool(rows, pooling), actual = gpu.Pool(rows, pooling);
    for (size_t r = 0; r < rows.size(); ++r) {
      ASSERT_EQ(actual[r].embedding.size(), expected[r].embedding.size());
      // Normed vectors: values of about 1.
      for (size_t i = 0; i < expected[r].embedding.size(); ++i)
        EXPECT_NEAR(actual[r].embedding[i], expected[r].embedding[i], 0.1) << r << " " << i;
    }
  }
}

TEST(CudaModel, DrawsOnTheDeviceAndOnTheHostAgree) {
  Result<std::unique_ptr<Checkpoint>> made = MakeSynthCheckpoint("tiny-llama", "BF16");
  ASSERT_TRUE(made.ok()) << made.status().message();
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*made);
  const int vocab = checkpoint->config().vocab_size;
  SamplingParams on_device;
  on_device.temperature = 0.8f;
  on_device.top_k = 50;
  on_device.top_p = 0.95f;
  on_device.seed = 7;
  SamplingParams on_host = on_device;
  on_host.logprobs = 0;  // needs the logits
  std::vector<std::vector<TokenId>> tokens;
  for (const SamplingParams& params : {on_device, on_host}) {
    Harness gpu(checkpoint, true);
    std::vector<TokenId> drawn;
    std::vector<OutputResult> outputs = gpu.Draw({{0, 0, Tokens(0, 20, vocab)}, {1, 0, Tokens(9, 5, vocab)}}, &params);
    for (int i = 0; i < 6; ++i) {
      for (const OutputResult& output : outputs) {
        ASSERT_FALSE(output.failed) << output.error;
        drawn.push_back(output.token);
      }
      outputs = gpu.Draw({{0, 20 + i, {outputs[0].token}}, {1, 5 + i, {outputs[1].token}}});
    }
    tokens.push_back(drawn);
  }
  EXPECT_EQ(tokens[0], tokens[1]);
}

// Sequences of different lengths that come and go, over the border of 256 slots.
TEST(CudaModel, ReplayedStepsDrawWhatLaunchedStepsDraw) {
  for (const std::string name : {"gemma3", "qwen3-moe"}) {
    SCOPED_TRACE(name);
    Result<std::unique_ptr<Checkpoint>> opened = OpenCheckpoint(GoldenDir() + name);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    const std::shared_ptr<const Checkpoint> checkpoint = std::move(*opened);
    const int vocab = checkpoint->config().vocab_size;
    SamplingParams params;
    params.temperature = 0.7f;
    params.seed = 11;
    std::vector<std::vector<TokenId>> tokens;
    for (const bool eager : {true, false}) {
      Harness gpu(checkpoint, true, eager);
      const std::vector<int> lengths = {252, 9, 30};
      std::vector<TokenId> last, drawn;
      for (int s = 0; s < 3; ++s) {
        std::vector<int32_t> prompt = Tokens(s, lengths[static_cast<size_t>(s)], vocab);
        for (int begin = 0; begin < lengths[static_cast<size_t>(s)]; begin += 64) {
          const int end = std::min(begin + 64, lengths[static_cast<size_t>(s)]);
          last.resize(static_cast<size_t>(s) + 1);
          const SamplingParams* start = begin == 0 ? &params : nullptr;
          last.back() =
              gpu.Draw({{s, begin, std::vector<int32_t>(prompt.begin() + begin, prompt.begin() + end)}}, start)[0]
                  .token;
        }
      }
      for (int i = 0; i < 9; ++i) {
        std::vector<Harness::Row> rows;
        for (int s = 0; s < 3; ++s) {
          if (s == 1 && i % 4 == 3) continue;
          const int context = lengths[static_cast<size_t>(s)] + i - (s == 1 ? i / 4 : 0);
          rows.push_back({s, context, {last[static_cast<size_t>(s)]}});
        }
        const std::vector<OutputResult> outputs = gpu.Draw(rows);
        for (size_t r = 0; r < rows.size(); ++r) {
          ASSERT_FALSE(outputs[r].failed) << outputs[r].error;
          last[static_cast<size_t>(rows[r].sequence)] = outputs[r].token;
          drawn.push_back(outputs[r].token);
        }
      }
      EXPECT_EQ(gpu.num_replays() > 0, !eager);
      tokens.push_back(drawn);
    }
    EXPECT_EQ(tokens[0], tokens[1]);
  }
}

TEST(CudaModel, CopiedBlocksContinueWithTheSameBits) {
  Result<std::unique_ptr<Checkpoint>> made = MakeSynthCheckpoint("tiny-llama", "Q4_0");
  ASSERT_TRUE(made.ok()) << made.status().message();
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*made);
  const int vocab = checkpoint->config().vocab_size;
  Harness gpu(checkpoint, true);
  gpu.Score({{0, 0, Tokens(0, 33, vocab)}}, 5);
  gpu.CopySequence(0, 2);
  const auto both =
      gpu.Score({{0, 33, Tokens(33, 1, vocab)}, {1, 0, Tokens(3, 17, vocab)}, {2, 33, Tokens(33, 1, vocab)}}, 5);
  EXPECT_EQ(both.front().logprob, both.back().logprob);
  // And as when the whole prompt came in one step.
  const auto whole = gpu.Score({{3, 0, Tokens(0, 34, vocab)}}, 5);
  EXPECT_EQ(both.front().logprob, whole.back().logprob);
}

}  // namespace
}  // namespace millrace::cuda
