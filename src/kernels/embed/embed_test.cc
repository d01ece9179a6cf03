#include "kernels/embed/embed.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "base/dequantize.h"
#include "kernels/gather/gather.h"

namespace millrace::kernels {
namespace {

struct StoredTable {
  std::vector<std::byte> bytes;
  std::vector<float> values;
  WeightRows rows;

  StoredTable(DType dtype, int64_t num_rows, int64_t cols)
      : bytes(num_rows * RowBytes(dtype, cols)), values(num_rows * cols) {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 64.0f;
    for (int64_t r = 0; r < num_rows; ++r) {
      std::byte* row = bytes.data() + r * RowBytes(dtype, cols);
      QuantizeRow(dtype, values.data() + r * cols, row, cols);
      DequantizeRow(dtype, row, values.data() + r * cols, cols);
    }
    rows = {.dtype = dtype, .rows = num_rows, .cols = cols, .data = bytes.data()};
  }
};

TEST(Embed, ScalesRowsOfEveryTypeAndAddsPositions) {
  ThreadPool pool(2);
  OpContext context{.pool = &pool};
  const std::vector<int32_t> ids = {3, 0, 4, 4, 1, 2, 0, 3, 1};
  const std::vector<int32_t> positions = {0, 1, 2, 0, 1, 2, 0, 1, 2};
  const int64_t cols = 768;
  const StoredTable position_table(DType::kF32, 3, cols);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ8_0, DType::kQ6_K}) {
    const StoredTable table(dtype, 5, cols);
    std::vector<float> x(ids.size() * cols);
    EmbedArgs args{.table = &table.rows,
                   .position_table = &position_table.rows,
                   .token_ids = ids.data(),
                   .positions = positions.data(),
                   .num_tokens = static_cast<int64_t>(ids.size()),
                   .scale = 1.25f,
                   .x = x.data()};
    EmbedCpu(&context, &args);
    for (size_t t = 0; t < ids.size(); ++t) {
      for (int64_t i = 0; i < cols; ++i) {
        ASSERT_EQ(x[t * cols + i],
                  table.values[ids[t] * cols + i] * 1.25f + position_table.values[positions[t] * cols + i])
            << DTypeName(dtype);
      }
    }
  }
}

TEST(Embed, ReadsATableThatHasNoAddress) {
  ThreadPool pool(2);
  Workspace workspace(*Buffer::Allocate(1 << 16));
  OpContext context{.pool = &pool, .workspace = &workspace};
  const StoredTable table(DType::kQ8_0, 5, 64);
  WeightRows rows = table.rows;
  rows.data = nullptr;
  rows.context = &table;
  rows.gather = [](const void* from, int64_t first, int64_t count, std::byte* dst) {
    const int64_t row_bytes = RowBytes(DType::kQ8_0, 64);
    std::memcpy(dst, static_cast<const StoredTable*>(from)->bytes.data() + first * row_bytes, count * row_bytes);
  };
  const std::vector<int32_t> ids = {4, 2};
  std::vector<float> x(2 * 64);
  EmbedArgs args{.table = &rows, .token_ids = ids.data(), .num_tokens = 2, .x = x.data()};
  EmbedCpu(&context, &args);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(x[i], table.values[4 * 64 + i]);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(x[64 + i], table.values[2 * 64 + i]);
}

TEST(GatherRows, PicksRows) {
  ThreadPool pool(2);
  OpContext context{.pool = &pool};
  std::vector<float> x(10 * 3);
  std::iota(x.begin(), x.end(), 0.0f);
  const std::vector<int32_t> rows = {9, 0, 9, 4};
  std::vector<float> out(rows.size() * 3);
  GatherRowsArgs args{.x = x.data(), .cols = 3, .rows = rows.data(), .num_rows = 4, .out = out.data()};
  GatherRowsCpu(&context, &args);
  EXPECT_EQ(out, (std::vector<float>{27, 28, 29, 0, 1, 2, 27, 28, 29, 12, 13, 14}));
}

}  // namespace
}  // namespace millrace::kernels
