#include "kernels/attention/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "kernels/attention/attention_test_util.h"
#include "kernels/attention/attention_tile.h"

namespace millrace::kernels {
namespace {

constexpr DType kCacheTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kF8E4M3};

std::vector<Isa> AvailableIsas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (IsaAvailable(isa)) isas.push_back(isa);
  }
  return isas;
}

std::vector<std::vector<float>> Attend(Isa isa, int threads, const TestShape& shape, const std::vector<TestRow>& rows) {
  ThreadPool pool(threads);
  Workspace workspace(*Buffer::Allocate(64 << 20));
  OpContext context{.pool = &pool, .workspace = &workspace};
  TestStep step(shape, rows, 77);
  RunAttention(GetAttentionKernels(isa), &context, step.Args());
  std::vector<std::vector<float>> out;
  for (int t = 0; t < step.num_tokens(); ++t) out.push_back(step.Out(t));
  return out;
}

std::vector<std::vector<float>> AttendRef(const TestShape& shape, const std::vector<TestRow>& rows) {
  TestStep step(shape, rows, 78);
  AttentionRef(step.Args());
  std::vector<std::vector<float>> out;
  for (int t = 0; t < step.num_tokens(); ++t) out.push_back(step.Out(t));
  return out;
}

// Values are about 4 at most. F32: some hundred roundings. BF16: p loses 2^-9 of itself, both above and below the line.
// I8: q and p keep 15 bits.
double Tolerance(DType dtype) {
  return dtype == DType::kBF16 ? 4.0 / 256 : dtype == DType::kI8 ? 1e-3 : 2e-5;
}

void ExpectNear(const std::vector<std::vector<float>>& actual, const std::vector<std::vector<float>>& expected,
                double tolerance, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t t = 0; t < actual.size(); ++t) {
    for (size_t i = 0; i < actual[t].size(); ++i) {
      ASSERT_NEAR(actual[t][i], expected[t][i], tolerance) << what << ", token " << t << ", element " << i;
    }
  }
}

std::string Describe(Isa isa, const TestShape& shape) {
  return fmt::format("{} {} heads {}/{} dim {} window {} softcap {} sinks {}", IsaName(isa), DTypeName(shape.dtype),
                     shape.num_heads, shape.num_kv_heads, shape.head_dim, shape.window, shape.softcap, shape.sinks);
}

TEST(KvLayout, EveryValueHasItsOwnBytes) {
  for (const DType dtype : kCacheTypes) {
    for (const int head_dim : {8, 24, 64, 80}) {
      const KvLayout layout = KvLayout::Make(dtype, head_dim);
      std::set<int64_t> offsets;
      for (int t = 0; t < kKvBlockSlots; ++t) {
        for (int d = 0; d < head_dim; ++d) {
          EXPECT_TRUE(offsets.insert(layout.KOffset(t, d)).second);
          EXPECT_TRUE(offsets.insert(layout.VOffset(t, d)).second);
        }
      }
      EXPECT_EQ(*offsets.rbegin() + layout.elem_bytes, static_cast<int64_t>(offsets.size()) * layout.elem_bytes);
      EXPECT_EQ(layout.head_bytes % 64, 0);
    }
  }
  EXPECT_EQ(KvLayerBytesCpu(DType::kBF16, 8, 64), 8 * 16 * 64 * 2 * 2);
  EXPECT_EQ(KvLayerBytesCpu(DType::kI8, 1, 64), 16 * (64 + 4) * 2);
  EXPECT_EQ(KvLayerBytesCpu(DType::kF8E4M3, 1, 64), 16 * (64 + 4) * 2);
}

TEST(Attention, MatchesTheReferenceOverOddShapes) {
  const std::vector<TestShape> shapes = {
      {.num_heads = 4, .num_kv_heads = 4, .head_dim = 16},
      {.num_heads = 6, .num_kv_heads = 2, .head_dim = 8},
      {.num_heads = 9, .num_kv_heads = 3, .head_dim = 64},
      {.num_heads = 5, .num_kv_heads = 1, .head_dim = 72, .softcap = 3.0f},
      {.num_heads = 4, .num_kv_heads = 2, .head_dim = 80, .window = 20},
      {.num_heads = 4, .num_kv_heads = 1, .head_dim = 128, .sinks = true},
      {.num_heads = 3, .num_kv_heads = 1, .head_dim = 24, .gate = true},
      {.num_heads = 2, .num_kv_heads = 2, .head_dim = 96, .window = 300, .softcap = 20.0f, .sinks = true},
      {.num_heads = 70, .num_kv_heads = 1, .head_dim = 32},
      {.num_heads = 16, .num_kv_heads = 1, .head_dim = 576},
      {.num_heads = 2, .num_kv_heads = 1, .head_dim = 256},
  };
  for (TestShape shape : shapes) {
    for (const DType dtype : kCacheTypes) {
      shape.dtype = dtype;
      const TestSequence a(shape, 600, 1), b(shape, 33, 2), c(shape, 1, 3), d(shape, 272, 4);
      const std::vector<TestRow> rows = {{&a, 597, 600}, {&b, 0, 33}, {&c, 0, 1}, {&d, 271, 272}};
      const auto expected = AttendRef(shape, rows);
      for (const Isa isa : AvailableIsas())
        ExpectNear(Attend(isa, 2, shape, rows), expected, Tolerance(dtype), Describe(isa, shape));
    }
  }
}

class Equivalence : public testing::TestWithParam<std::tuple<Isa, DType>> {
 protected:
  void SetUp() override {
    if (!IsaAvailable(isa())) GTEST_SKIP() << IsaName(isa()) << " is not available";
  }
  Isa isa() const { return std::get<0>(GetParam()); }
  std::vector<TestShape> Shapes() const {
    const DType dtype = std::get<1>(GetParam());
    return {{.dtype = dtype, .num_heads = 8, .num_kv_heads = 2, .head_dim = 64},
            {.dtype = dtype,
             .num_heads = 3,
             .num_kv_heads = 1,
             .head_dim = 40,
             .window = 37,
             .softcap = 5.0f,
             .sinks = true},
            {.dtype = dtype, .num_heads = 2, .num_kv_heads = 2, .head_dim = 128, .window = 270}};
  }
};

TEST_P(Equivalence, AloneBatchedChunkedAndThreadedGiveTheSameBits) {
  for (const TestShape& shape : Shapes()) {
    const TestSequence a(shape, 545, 1), b(shape, 70, 2), c(shape, 1, 3), d(shape, 300, 4);
    const std::vector<TestRow> rows = {{&a, 500, 545}, {&b, 0, 70}, {&c, 0, 1}, {&d, 299, 300}};
    const auto together = Attend(isa(), 1, shape, rows);
    EXPECT_EQ(together, Attend(isa(), 3, shape, rows)) << Describe(isa(), shape);

    std::vector<std::vector<float>> one_by_one, chunked;
    std::mt19937 rng(5);
    for (const TestRow& row : rows) {
      for (int slot = row.begin; slot < row.end; ++slot) {
        one_by_one.push_back(Attend(isa(), slot % 2 + 1, shape, {{row.sequence, slot, slot + 1}})[0]);
      }
      for (int begin = row.begin; begin < row.end;) {
        const int end = std::min<int>(row.end, begin + 1 + static_cast<int>(rng() % 23));
        for (auto& out : Attend(isa(), 2, shape, {{row.sequence, begin, end}})) chunked.push_back(std::move(out));
        begin = end;
      }
    }
    EXPECT_EQ(together, one_by_one) << Describe(isa(), shape);
    EXPECT_EQ(together, chunked) << Describe(isa(), shape);
  }
}

TEST_P(Equivalence, SplittingAcrossManyThreadsKeepsTheBits) {
  for (const TestShape& shape : Shapes()) {
    const TestSequence a(shape, 2100, 1);
    EXPECT_EQ(Attend(isa(), 1, shape, {{&a, 2099, 2100}}), Attend(isa(), 7, shape, {{&a, 2099, 2100}}))
        << Describe(isa(), shape);
  }
}

// A tree of two branches over a context that ends just before a segment boundary: every path must give the bits of its
// plain sequence.
TEST_P(Equivalence, TreeBranchesGiveTheBitsOfTheirSequences) {
  for (const TestShape& shape : Shapes()) {
    for (const int context : {0, 5, 254, 256}) {
      const std::vector<int> parent = {-1, 0, 0, 1, 2, 4, 3, 5};
      const TestSequence tree(shape, context + 8, 9), other(shape, 20, 10);
      const auto actual = Attend(isa(), 2, shape, {{&other, 10, 20}, {&tree, context, context + 8, parent}});
      for (const std::vector<int>& path : {std::vector<int>{0, 1, 3, 6}, {0, 2, 4, 5, 7}}) {
        TestSequence plain(shape, context + static_cast<int>(path.size()), 11);
        for (int slot = 0; slot < plain.num_slots; ++slot) {
          const size_t source = slot < context ? slot : context + path[slot - context];
          const auto copy = [&](std::vector<float>& to, const std::vector<float>& from) {
            const size_t width = from.size() / tree.num_slots;
            std::copy_n(from.begin() + source * width, width, to.begin() + slot * width);
          };
          copy(plain.k, tree.k);
          copy(plain.v, tree.v);
          copy(plain.q, tree.q);
        }
        const auto expected = Attend(isa(), 1, shape, {{&plain, context, plain.num_slots}});
        for (size_t i = 0; i < path.size(); ++i) EXPECT_EQ(actual[10 + path[i]], expected[i]) << Describe(isa(), shape);
      }
    }
  }
}

// The engine ends a sequence whose logits are NaN, so a NaN may not get lost, and may not reach the tokens before it.
TEST_P(Equivalence, NaNReachesTheTokensThatSeeItAndNoOthers) {
  const TestShape shape{.dtype = std::get<1>(GetParam()), .num_heads = 4, .num_kv_heads = 2, .head_dim = 64};
  const TestSequence clean(shape, 40, 1);
  const auto expected = Attend(isa(), 2, shape, {{&clean, 30, 40}});
  for (std::vector<float> TestSequence::*part : {&TestSequence::q, &TestSequence::k, &TestSequence::v}) {
    TestSequence poisoned = clean;
    std::vector<float>& values = poisoned.*part;
    const size_t width = values.size() / 40;
    values[35 * width + 3] = NAN;  // slot 35, first head
    const auto actual = Attend(isa(), 2, shape, {{&poisoned, 30, 40}});
    EXPECT_TRUE(std::isnan(actual[5][3]));
    const auto before = Attend(isa(), 1, shape, {{&poisoned, 30, 35}});
    for (int t = 0; t < 5; ++t) EXPECT_EQ(before[t], expected[t]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Equivalence,
                         testing::Combine(testing::Values(Isa::kGeneric, Isa::kAvx2, Isa::kAvx512),
                                          testing::ValuesIn(kCacheTypes)),
                         [](const auto& info) {
                           return std::string(IsaName(std::get<0>(info.param))) + "_" +
                                  DTypeName(std::get<1>(info.param));
                         });

TEST(Attention, TreesMatchTheReference) {
  const TestShape shape{.dtype = DType::kF32, .num_heads = 4, .num_kv_heads = 2, .head_dim = 32, .window = 12};
  const TestSequence tree(shape, 38, 1);
  const std::vector<TestRow> rows = {{&tree, 30, 38, {-1, 0, 0, 1, 2, 4, 3, -1}}};
  const auto expected = AttendRef(shape, rows);
  for (const Isa isa : AvailableIsas()) ExpectNear(Attend(isa, 2, shape, rows), expected, 2e-5, IsaName(isa));
}

TEST(Attention, AFewWorkspaceBytesAreEnough) {
  const TestShape shape{.num_heads = 8, .num_kv_heads = 2, .head_dim = 64};
  const TestSequence a(shape, 2100, 1);
  ThreadPool pool(8);
  const WorkspaceQuery query{.max_tokens = 3, .max_rows = 1, .num_heads = 8, .head_dim = 64, .max_model_len = 2100};
  Workspace workspace(*Buffer::Allocate(AttentionWorkspaceBytes(query)));
  OpContext context{.pool = &pool, .workspace = &workspace};
  TestStep step(shape, {{&a, 2097, 2100}});
  RunAttention(GetAttentionKernels(Isa::kGeneric), &context, step.Args());
  EXPECT_GT(workspace.peak(), 0);
}

TEST(CopyBlocks, PairsRunInOrder) {
  ThreadPool pool(2);
  OpContext context{.pool = &pool};
  const int64_t block_bytes = 200000;
  std::vector<std::byte> blocks(4 * block_bytes);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::byte>(i / block_bytes * 10 + i % 7);
  const std::vector<std::byte> before = blocks;
  const std::vector<int32_t> from = {0, 1, 3}, to = {1, 2, 0};
  CopyBlocksCpu(&context, blocks.data(), block_bytes, from.data(), to.data(), 3);
  const auto block = [&](const std::vector<std::byte>& all, int i) {
    return std::vector<std::byte>(all.begin() + i * block_bytes, all.begin() + (i + 1) * block_bytes);
  };
  EXPECT_EQ(block(blocks, 0), block(before, 3));
  EXPECT_EQ(block(blocks, 1), block(before, 0));
  EXPECT_EQ(block(blocks, 2), block(before, 0));
  EXPECT_EQ(block(blocks, 3), block(before, 3));
}

}  // namespace
}  // namespace millrace::kernels
