#include "runtime/model_runner.h"

#include <gtest/gtest.h>

#include "model_loader/synth.h"

namespace millrace {
namespace {

std::unique_ptr<ModelRunner> TinyRunner() {
  Result<std::unique_ptr<Checkpoint>> checkpoint = MakeSynthCheckpoint("tiny-llama", "F32");
  EXPECT_TRUE(checkpoint.ok());
  RunnerOptions options;
  options.num_threads = 1;
  options.max_model_len = 256;
  Result<std::unique_ptr<ModelRunner>> runner = ModelRunner::Create(std::move(*checkpoint), options, {});
  EXPECT_TRUE(runner.ok()) << runner.status().message();
  EXPECT_TRUE((*runner)->AllocateKv(16).ok());
  return std::move(*runner);
}

// One row of a chain of `depth` draft tokens, as a tree.
Batch ChainTree(uint64_t step, int depth) {
  Batch batch;
  batch.step_id = step;
  batch.sequences = {1};
  batch.query_start = {0, depth};
  batch.context_len = {0};
  batch.adapter_index = {0};
  GroupTables tables;
  for (int i = 0; i < depth; ++i) {
    batch.token_ids.push_back(5 + i);
    batch.positions.push_back(i);
    batch.parent.push_back(i - 1);
    if (i % kKvBlockTokens == 0) tables.block_ids.push_back(i / kKvBlockTokens);
  }
  tables.row_start = {0, static_cast<int32_t>(tables.block_ids.size())};
  batch.groups = {tables};
  batch.outputs.push_back({.token_index = depth - 1, .row = 0, .sample = false, .target = 7});
  return batch;
}

TEST(ModelRunner, ATreeTooDeepFailsItsStepAlone) {
  const std::unique_ptr<ModelRunner> runner = TinyRunner();
  const StepResult deep = runner->Submit(ChainTree(1, 33)).Wait();
  EXPECT_EQ(deep.error, "a draft tree is deeper than 32 tokens");
  EXPECT_TRUE(deep.outputs[0].failed);
  const StepResult fits = runner->Submit(ChainTree(2, 32)).Wait();
  EXPECT_EQ(fits.error, "");
  EXPECT_FALSE(fits.outputs[0].failed);
  Batch loop = ChainTree(3, 4);
  loop.parent[1] = 3;
  EXPECT_EQ(runner->Submit(loop).Wait().error, "a draft tree has a parent that is not before its child");
  EXPECT_EQ(runner->times().num_steps, 3);
}

}  // namespace
}  // namespace millrace
