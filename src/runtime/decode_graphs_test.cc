#include "runtime/decode_graphs.h"

#include <gtest/gtest.h>

#include <vector>

namespace millrace {
namespace {

TEST(DecodeGraphs, RowsArePaddedToFewSizes) {
  int sizes = 0, last = 0;
  for (int rows = 1; rows <= 512; ++rows) {
    const int padded = PaddedRows(rows);
    ASSERT_GE(padded, rows);
    ASSERT_EQ(PaddedRows(padded), padded);
    ASSERT_LE(padded - rows, rows <= 4 ? 1 : rows <= 128 ? 7 : 63) << rows;
    if (padded != last) ++sizes;
    last = padded;
  }
  EXPECT_EQ(sizes, 3 + 16 + 6);
}

// Decode rows of these contexts, in one KV group with just the blocks that they need.
Batch DecodeBatch(const std::vector<int>& contexts) {
  Batch batch;
  batch.groups.resize(1);
  batch.query_start = {0};
  batch.groups[0].row_start = {0};
  for (size_t r = 0; r < contexts.size(); ++r) {
    const int row = static_cast<int>(r);
    batch.sequences.push_back(r + 1);
    batch.token_ids.push_back(7);
    batch.positions.push_back(contexts[r]);
    batch.context_len.push_back(contexts[r]);
    batch.query_start.push_back(row + 1);
    batch.groups[0].block_ids.resize(batch.groups[0].block_ids.size() +
                                     static_cast<size_t>(contexts[r] / kKvBlockTokens + 1));
    batch.groups[0].row_start.push_back(static_cast<int32_t>(batch.groups[0].block_ids.size()));
    batch.outputs.push_back({.token_index = row, .row = row});
  }
  return batch;
}

TEST(DecodeGraphs, ShapesHoldTheirSteps) {
  constexpr int kMaxModelLen = 5000;
  for (const auto& [context, slots] :
       {std::pair{0, 256}, {255, 256}, {256, 512}, {511, 512}, {512, 1024}, {4095, 4096}, {4096, 5008}, {4999, 5008}}) {
    const auto shape = DecodeShapeOf(DecodeBatch({3, context, 17}), kMaxModelLen);
    ASSERT_TRUE(shape.has_value()) << context;
    EXPECT_EQ(shape->rows, 4);
    EXPECT_EQ(shape->slots, slots) << context;
  }
  // Blocks allocated ahead must fit as well.
  Batch ahead = DecodeBatch({255});
  ahead.groups[0].block_ids.push_back(5);
  ++ahead.groups[0].row_start[1];
  EXPECT_EQ(DecodeShapeOf(ahead, kMaxModelLen)->slots, 512);
}

TEST(DecodeGraphs, OtherStepsHaveNoShape) {
  const auto none = [](const Batch& batch) { return !DecodeShapeOf(batch, 1024).has_value(); };
  EXPECT_TRUE(none(Batch()));
  Batch batch = DecodeBatch({9, 9});
  batch.outputs[1].sample = false;
  EXPECT_TRUE(none(batch));
  batch = DecodeBatch({9, 9});
  batch.outputs.pop_back();
  EXPECT_TRUE(none(batch));
  batch = DecodeBatch({9, 9});
  batch.num_grammar_masks = 1;
  EXPECT_TRUE(none(batch));
  batch = DecodeBatch({9, 9});
  batch.outputs[0].pooling = Pooling::kLast;
  EXPECT_TRUE(none(batch));
  batch = DecodeBatch({9, 9});
  batch.parent = {-1, -1};
  EXPECT_TRUE(none(batch));
  batch = DecodeBatch({9, 9});  // a chunk of two tokens
  batch.token_ids.push_back(7);
  batch.positions.push_back(10);
  batch.query_start[2] = 3;
  EXPECT_TRUE(none(batch));
}

// A device that counts.
int recorded = 0, replayed = 0, released = 0;
bool refuse = false;
bool Begin(void*) {
  return !refuse;
}
void* End(void*) {
  return ++recorded, &recorded;
}
void ReplayOne(void*, void*) {
  ++replayed;
}
void ReleaseOne(void*) {
  ++released;
}

TEST(DecodeGraphs, AShapeIsLaunchedThenRecordedThenReplayed) {
  DeviceMemory memory;
  memory.begin_recording = Begin;
  memory.end_recording = End;
  memory.replay = ReplayOne;
  memory.release_recording = ReleaseOne;
  int launched = 0;
  const auto launch = [&] { ++launched; };
  {
    DecodeGraphs graphs(memory);
    for (int i = 0; i < 5; ++i) graphs.Run({1, 256}, nullptr, launch);
    EXPECT_EQ(launched, 2);  // once for real, once into the recording
    EXPECT_EQ(recorded, 1);
    EXPECT_EQ(replayed, 4);
    EXPECT_EQ(graphs.num_replays(), 4);
    for (int rows = 8; rows < 8 * 200; rows += 8) {
      for (int i = 0; i < 2; ++i) graphs.Run({rows, 256}, nullptr, launch);
    }
    EXPECT_EQ(recorded, DecodeGraphs::kMaxRecordings);
  }
  EXPECT_EQ(released, recorded);
  refuse = true;
  launched = replayed = 0;
  DecodeGraphs refused(memory);
  for (int i = 0; i < 3; ++i) refused.Run({1, 256}, nullptr, launch);
  EXPECT_EQ(launched, 3);
  EXPECT_EQ(replayed, 0);
}

}  // namespace
}  // namespace millrace
