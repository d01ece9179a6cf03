#include <gtest/gtest.h>

#include <cmath>

#include "core/batch.h"
#include "core/kv_spec.h"
#include "core/sampling_params.h"

namespace millrace {
namespace {

TEST(SamplingParams, DefaultsAreValid) {
  EXPECT_TRUE(ValidateSamplingParams({}, 100).ok());
}

TEST(SamplingParams, EachBoundNamesItsFieldAndValue) {
  const auto message = [](auto change) {
    SamplingParams params;
    change(params);
    return ValidateSamplingParams(params, 100).message();
  };
  EXPECT_EQ(message([](auto& p) { p.top_p = 1.5f; }), "top_p is 1.5, expected 1e-09 to 1");
  EXPECT_EQ(message([](auto& p) { p.n = 129; }), "n is 129, expected 1 to 128");
  EXPECT_EQ(message([](auto& p) { p.temperature = NAN; }), "temperature is nan, expected 0 to 100");
  EXPECT_EQ(message([](auto& p) { p.logprobs = 21; }), "logprobs is 21, expected -1 to 20");
  EXPECT_EQ(message([](auto& p) { p.stop.assign(17, "x"); }), "stop has 17 strings, the limit is 16");
  EXPECT_EQ(message([](auto& p) { p.stop_token_ids = {100}; }),
            "stop_token_ids has token 100, the vocabulary has 100 tokens");
  EXPECT_EQ(message([](auto& p) { p.logit_bias = {{3, 101.0f}}; }), "logit_bias is 101, expected -100 to 100");
}

TEST(KvSpec, StatePiecesNeverStraddleBlocks) {
  KvGroupSpec full{.kind = KvGroupKind::kFull, .layers = {3}, .bytes_per_block = 4096};
  KvGroupSpec recurrent{.kind = KvGroupKind::kRecurrent, .layers = {0, 1, 2}, .state_piece_bytes = {1000, 3000}};
  EXPECT_EQ(PoolBlockBytes({full, recurrent}), 4096);
  const StatePlacement placement = PlaceState(recurrent, 4096);
  EXPECT_EQ(placement.num_blocks, 3);
  ASSERT_EQ(placement.pieces.size(), 6u);
  EXPECT_EQ(placement.pieces[1].block, 0);
  EXPECT_EQ(placement.pieces[1].offset, 1024);
  EXPECT_EQ(placement.pieces[2].block, 1);
  EXPECT_EQ(BlocksPerState(recurrent, 8192), 2);
}

TEST(Batch, MalformedBatchesAreNamed) {
  Batch batch;
  batch.sequences = {7};
  batch.query_start = {0, 2};
  batch.context_len = {0};
  batch.token_ids = {1, 2};
  batch.positions = {0, 1};
  batch.groups = {{{0, 1}, {5}}};
  batch.outputs = {{.token_index = 1, .row = 0}};
  EXPECT_EQ(DescribeBatchError(batch), "");
  batch.outputs[0].token_index = 2;
  EXPECT_EQ(DescribeBatchError(batch), "an output's token is not in its row");
}

}  // namespace
}  // namespace millrace
