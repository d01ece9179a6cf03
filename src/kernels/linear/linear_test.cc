#include "kernels/linear/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/checked_math.h"
#include "base/dequantize.h"
#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16,   DType::kF8E4M3, DType::kQ4_0, DType::kQ4_1,
                            DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,   DType::kQ2_K,   DType::kQ3_K, DType::kQ4_K,
                            DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4};

std::vector<float> RandomVector(size_t size, uint32_t seed, float sigma = 1.0f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, sigma);
  std::vector<float> out(size);
  for (float& value : out) value = normal(engine);
  return out;
}

// A weight in its stored type.
struct Weight {
  WeightRows rows;
  std::vector<std::byte> bytes;

  Weight(DType dtype, int64_t num_rows, int64_t cols, uint32_t seed) {
    const std::vector<float> values = RandomVector(static_cast<size_t>(num_rows * cols), seed, 0.05f);
    const int64_t row_bytes = RowBytes(dtype, cols);
    bytes.resize(static_cast<size_t>(num_rows * row_bytes));
    for (int64_t r = 0; r < num_rows; ++r) QuantizeRow(dtype, &values[r * cols], &bytes[r * row_bytes], cols);
    rows.dtype = dtype;
    rows.rows = num_rows;
    rows.cols = cols;
    rows.data = bytes.data();
  }
};

struct Context {
  explicit Context(int threads) : pool(threads), workspace(Buffer::Allocate(64 << 20).value()) {
    op.pool = &pool;
    op.workspace = &workspace;
  }
  ThreadPool pool;
  Workspace workspace;
  OpContext op;
};

struct FreeMatrix {
  void operator()(PackedMatrix* matrix) const { FreeMatrixCpu(matrix); }
};
using Matrix = std::unique_ptr<PackedMatrix, FreeMatrix>;

Matrix Pack(Isa isa, Context& context, const std::vector<WeightRows>& parts, const float* bias = nullptr,
            bool gated = false) {
  ErrorText error;
  Matrix matrix(PackMatrixCpu(isa, &context.op, parts.data(), static_cast<int>(parts.size()), bias, gated, &error));
  EXPECT_NE(matrix, nullptr) << error.text;
  return matrix;
}

LinearArgs Args(const std::vector<float>& x, int64_t cols, int64_t tokens, std::vector<float>& out, int64_t rows) {
  LinearArgs args;
  args.x = x.data();
  args.x_stride = cols;
  args.num_tokens = tokens;
  args.out = out.data();
  args.out_stride = rows;
  return args;
}

std::vector<float> RunLinear(Context& context, const PackedMatrix* matrix, const std::vector<float>& x,
                             int64_t tokens) {
  std::vector<float> out(static_cast<size_t>(tokens * PackedRows(matrix)), 7.0f);
  LinearArgs args = Args(x, PackedCols(matrix), tokens, out, PackedRows(matrix));
  args.matrix = matrix;
  LinearCpu(&context.op, &args);
  return out;
}

// How far x[t] may be from what a product sees, as a bound on |W dx|: half a step of the values that share a scale for
// int8, 2^-9 for bf16.
float EncodingError(const WeightRows& weight, const Encoding& encoding, const float* x, const float* w) {
  float bound = 0.0f;
  const int64_t shared = 32 * encoding.scale_blocks;
  for (int64_t first = 0; first < weight.cols; first += shared) {
    const int64_t end = std::min(first + shared, weight.cols);
    float max = 0.0f;
    for (int64_t k = first; k < end; ++k) max = std::max(max, std::fabs(x[k]));
    for (int64_t k = first; k < end; ++k) {
      if (encoding.IsInt8()) bound += std::fabs(w[k]) * max / 127.0f * 0.5001f;
      if (encoding.type == ActivationType::kBf16) bound += std::fabs(w[k] * x[k]) * 0x1p-8f;
    }
  }
  return bound;
}

void ExpectMatchesReference(const Weight& weight, const TileKernel& kernel, const std::vector<float>& x, int64_t tokens,
                            const std::vector<float>& got, bool exact_x) {
  const WeightRows& rows = weight.rows;
  std::vector<float> want(got.size());
  const LinearArgs args = Args(x, rows.cols, tokens, want, rows.rows);
  LinearRef(&rows, 1, nullptr, &args);
  std::vector<float> w(static_cast<size_t>(rows.cols));
  for (int64_t n = 0; n < rows.rows; ++n) {
    DequantizeRow(rows.dtype, &weight.bytes[n * RowBytes(rows.dtype, rows.cols)], w.data(), rows.cols);
    for (int64_t t = 0; t < tokens; ++t) {
      float magnitude = 0.0f;
      for (int64_t k = 0; k < rows.cols; ++k) magnitude += std::fabs(w[k] * x[t * rows.cols + k]);
      // Mins cancel against products, so the terms that round are larger than w x: 4 covers every type.
      float tolerance = 4.0f * 0x1p-24f * static_cast<float>(rows.cols + 8) * magnitude + 1e-30f;
      if (!exact_x) tolerance += EncodingError(rows, kernel.encoding, &x[t * rows.cols], w.data());
      ASSERT_NEAR(got[t * rows.rows + n], want[t * rows.rows + n], tolerance)
          << DTypeName(rows.dtype) << " N " << rows.rows << " K " << rows.cols << " token " << t << " row " << n;
    }
  }
}

// Whole numbers with 127 in every block are their own int8 encoding, and exact in bf16 too.
std::vector<float> ExactActivations(int64_t tokens, int64_t cols, uint32_t seed) {
  std::mt19937 engine(seed);
  std::vector<float> x(static_cast<size_t>(tokens * cols));
  for (float& value : x) value = static_cast<float>(static_cast<int>(engine() % 255) - 127);
  for (size_t i = 0; i < x.size(); i += 4) x[i] = (engine() & 1) != 0 ? 127.0f : -127.0f;
  return x;
}

struct Shape {
  int64_t n, k, m;
};

class LinearTest : public testing::TestWithParam<std::tuple<Isa, DType>> {
 protected:
  void SetUp() override {
    if (!IsaAvailable(isa())) GTEST_SKIP() << IsaName(isa()) << " is not available here";
  }
  Isa isa() const { return std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
  int64_t Cols(int64_t k) const { return RoundUp(k, GetDTypeInfo(dtype()).block_elems); }
  const TileKernel& kernel() const { return *SelectTileKernel(isa(), dtype()); }
};

TEST_P(LinearTest, MatchesTheReferenceOverRemainderShapes) {
  Context context(2);
  uint32_t seed = 1;
  for (const Shape& shape : {Shape{1, 32, 1}, Shape{15, 32, 2}, Shape{33, 64, 5}, Shape{64, 96, 13}, Shape{31, 512, 8},
                             Shape{100, 288, 23}, Shape{40, 1024, 70}}) {
    const Weight weight(dtype(), shape.n, Cols(shape.k), ++seed);
    const Matrix matrix = Pack(isa(), context, {weight.rows});
    const std::vector<float> x = RandomVector(static_cast<size_t>(shape.m * Cols(shape.k)), ++seed);
    ExpectMatchesReference(weight, kernel(), x, shape.m, RunLinear(context, matrix.get(), x, shape.m), false);
    const std::vector<float> exact = ExactActivations(shape.m, Cols(shape.k), ++seed);
    ExpectMatchesReference(weight, kernel(), exact, shape.m, RunLinear(context, matrix.get(), exact, shape.m), true);
  }
}

TEST_P(LinearTest, TakesAnyNumberOfWholeBlocks) {
  Context context(1);
  for (const int64_t at_least : {1, 7, 33, 90}) {
    const int64_t cols = Cols(at_least);
    const Weight weight(dtype(), 35, cols, 3);
    const Matrix matrix = Pack(isa(), context, {weight.rows});
    const std::vector<float> x = RandomVector(static_cast<size_t>(3 * cols), 4);
    ExpectMatchesReference(weight, kernel(), x, 3, RunLinear(context, matrix.get(), x, 3), false);
  }
}

TEST_P(LinearTest, ARowKeepsItsBitsInEveryBatchAndOnAnyNumberOfThreads) {
  constexpr int64_t kMaxTokens = 40;
  const int64_t cols = Cols(288);
  Context one(1);
  Context three(3);
  const Weight weight(dtype(), 75, cols, 11);
  const Matrix matrix = Pack(isa(), three, {weight.rows});
  const std::vector<float> x = RandomVector(static_cast<size_t>(kMaxTokens * cols), 12);
  std::vector<float> alone;
  for (int64_t t = 0; t < kMaxTokens; ++t) {
    const std::vector<float> row(x.begin() + t * cols, x.begin() + (t + 1) * cols);
    const std::vector<float> out = RunLinear(one, matrix.get(), row, 1);
    alone.insert(alone.end(), out.begin(), out.end());
  }
  for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 23, 25, 31, 40}) {
    Context& context = tokens % 2 == 0 ? one : three;
    const std::vector<float> out = RunLinear(context, matrix.get(), x, tokens);
    ASSERT_EQ(std::memcmp(out.data(), alone.data(), out.size() * sizeof(float)), 0) << tokens << " tokens";
  }
}

TEST_P(LinearTest, ARowKeepsItsBitsOverSeveralSectionsAndSlabs) {
  constexpr int64_t kTokens = 200;
  const int64_t cols = Cols(1056);
  Context context(2);
  const Weight weight(dtype(), 35, cols, 13);
  const Matrix matrix = Pack(isa(), context, {weight.rows});
  const std::vector<float> x = RandomVector(static_cast<size_t>(kTokens * cols), 14);
  const std::vector<float> out = RunLinear(context, matrix.get(), x, kTokens);
  for (const int64_t t : {0, 1, 95, 188, 191, 192, 199}) {
    const std::vector<float> row(x.begin() + t * cols, x.begin() + (t + 1) * cols);
    const std::vector<float> alone = RunLinear(context, matrix.get(), row, 1);
    ASSERT_EQ(std::memcmp(&out[t * 35], alone.data(), alone.size() * sizeof(float)), 0) << "token " << t;
  }
}

TEST_P(LinearTest, ANonFiniteActivationReachesItsRowAndNoOther) {
  Context context(2);
  const int64_t cols = Cols(64);
  const Weight weight(dtype(), 33, cols, 21);
  const Matrix matrix = Pack(isa(), context, {weight.rows});
  std::vector<float> x = RandomVector(static_cast<size_t>(4 * cols), 22);
  const std::vector<float> clean = RunLinear(context, matrix.get(), x, 4);
  x[static_cast<size_t>(1 * cols + 5)] = INFINITY;
  x[static_cast<size_t>(2 * cols + 9)] = NAN;
  const std::vector<float> out = RunLinear(context, matrix.get(), x, 4);
  for (int64_t n = 0; n < 33; ++n) {
    EXPECT_FALSE(std::isfinite(out[33 + n])) << n;
    EXPECT_TRUE(std::isnan(out[2 * 33 + n])) << n;
    EXPECT_EQ(out[n], clean[n]);
    EXPECT_EQ(out[3 * 33 + n], clean[3 * 33 + n]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearTest,
                         testing::Combine(testing::Values(Isa::kGeneric, Isa::kAvx2, Isa::kAvx512),
                                          testing::ValuesIn(kTypes)),
                         [](const auto& info) {
                           return std::string(IsaName(std::get<0>(info.param))) + "_" +
                                  DTypeName(std::get<1>(info.param));
                         });

class LinearStepTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!IsaAvailable(GetParam())) GTEST_SKIP() << IsaName(GetParam()) << " is not available here";
  }
};

// int8 activations are off by at most 1/254 of their block's largest value, about 1 % of the typical output.
void ExpectClose(const std::vector<float>& got, const std::vector<float>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  EXPECT_LT(std::sqrt(error / norm), tolerance);
}

TEST_P(LinearStepTest, FusesNormsBiasScaleAndAddition) {
  constexpr int64_t kCols = 256, kTokens = 9;
  Context context(2);
  const Weight q(DType::kQ4_K, 70, kCols, 1);
  const Weight k(DType::kQ4_K, 20, kCols, 2);
  const Weight v(DType::kQ6_K, 33, kCols, 3);
  const Weight f(DType::kF32, 5, kCols, 4);
  const std::vector<WeightRows> parts = {q.rows, k.rows, v.rows, f.rows};
  constexpr int64_t kRows = 70 + 20 + 33 + 5;
  const std::vector<float> bias = RandomVector(kRows, 5);
  const Matrix matrix = Pack(GetParam(), context, parts, bias.data());
  const std::vector<float> x = RandomVector(kTokens * kCols, 6, 3.0f);
  const std::vector<float> weight = RandomVector(kCols, 7), offset = RandomVector(kCols, 8),
                           post = RandomVector(kRows, 9);
  const std::vector<float> start = RandomVector(kTokens * kRows, 10);
  for (const NormKind pre : {NormKind::kNone, NormKind::kRms, NormKind::kLayer}) {
    for (const bool has_post : {false, true}) {
      std::vector<float> got = start, want = start;
      LinearArgs args = Args(x, kCols, kTokens, got, kRows);
      args.matrix = matrix.get();
      args.pre_norm = {pre, weight.data(), pre == NormKind::kLayer ? offset.data() : nullptr, 1e-5f};
      if (has_post) args.post_norm = {NormKind::kRms, post.data(), nullptr, 1e-5f};
      args.scale = 0.22f;
      args.accumulate = true;
      LinearCpu(&context.op, &args);
      args.out = want.data();
      LinearRef(parts.data(), 4, bias.data(), &args);
      ExpectClose(got, want, 0.01);
    }
  }
}

TEST_P(LinearStepTest, GatedMlpOfEveryActivation) {
  constexpr int64_t kCols = 512, kInner = 77, kTokens = 11;
  Context context(2);
  const Weight gate(DType::kQ8_0, kInner, kCols, 1);
  const std::vector<float> x = RandomVector(kTokens * kCols, 3, 2.0f);
  const std::vector<float> bias = RandomVector(2 * kInner, 4);
  for (const DType up_type : {DType::kQ8_0, DType::kBF16}) {
    const Weight up(up_type, kInner, kCols, 2);
    const std::vector<WeightRows> parts = {gate.rows, up.rows};
    for (const bool gated : {true, false}) {
      const int num_parts = gated ? 2 : 1;
      const Matrix matrix = Pack(GetParam(), context, {parts.begin(), parts.begin() + num_parts}, bias.data(), gated);
      for (const ActivationKind kind : {ActivationKind::kNone, ActivationKind::kSilu, ActivationKind::kGeluTanh,
                                        ActivationKind::kGeluErf, ActivationKind::kSwigluOai, ActivationKind::kRelu2}) {
        std::vector<float> got(kTokens * kInner), want(kTokens * kInner);
        MlpUpArgs args;
        args.x = x.data();
        args.x_stride = kCols;
        args.num_tokens = kTokens;
        args.matrix = matrix.get();
        args.gated = gated;
        args.activation = kind;
        args.swiglu_limit = 1.5f;
        args.out = got.data();
        args.out_stride = kInner;
        MlpUpCpu(&context.op, &args);
        args.out = want.data();
        MlpUpRef(parts.data(), num_parts, bias.data(), &args);
        ExpectClose(got, want, 0.02);
      }
    }
  }
}

// What mlp_up leaves for the next product is what that product makes of its floats, wherever it fits, and floats
// elsewhere.
TEST_P(LinearStepTest, OutputsEncodedForTheNextProductGiveTheSameBits) {
  constexpr int64_t kCols = 64, kOut = 40;
  const auto run = [&](Context& context, const PackedMatrix& up, const PackedMatrix& down, int64_t tokens, bool fused) {
    std::vector<float> x = RandomVector(static_cast<size_t>(tokens * kCols), 3);
    x[5] = tokens % 2 == 1 ? std::numeric_limits<float>::infinity() : 0.0f;
    Buffer inner = Buffer::Allocate(tokens * PackedCols(&down) * 4).value();
    std::vector<float> out(static_cast<size_t>(tokens * kOut), 1.0f);
    MlpUpArgs first;
    first.x = x.data();
    first.x_stride = kCols;
    first.num_tokens = tokens;
    first.matrix = &up;
    first.out = inner.as<float>();
    first.out_stride = PackedCols(&down);
    first.next = fused ? &down : nullptr;
    MlpUpCpu(&context.op, &first);
    LinearArgs second;
    second.x = inner.as<float>();
    second.x_stride = PackedCols(&down);
    second.x_from_mlp_up = fused;
    second.num_tokens = tokens;
    second.matrix = &down;
    second.accumulate = true;
    second.out = out.data();
    second.out_stride = kOut;
    LinearCpu(&context.op, &second);
    return out;
  };
  Context one(1), two(2);
  for (const DType type :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ8_0, DType::kQ4_K, DType::kQ6_K, DType::kQ2_K, DType::kBF16}) {
    for (const int64_t inner : {256, 512, 1280}) {
      const Weight gate(DType::kQ8_0, inner, kCols, 1), up(DType::kQ8_0, inner, kCols, 2), down(type, kOut, inner, 4);
      const Matrix first = Pack(GetParam(), one, {gate.rows, up.rows}, nullptr, true),
                   second = Pack(GetParam(), one, {down.rows});
      for (const int64_t tokens : {1, 2, 7, 13, 200}) {
        const std::vector<float> want = run(one, *first, *second, tokens, false);
        for (Context* context : {&one, &two}) {
          const std::vector<float> got = run(*context, *first, *second, tokens, true);
          ASSERT_EQ(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)), 0)
              << DTypeName(type) << ", " << inner << " inner values, " << tokens << " tokens";
        }
      }
    }
  }
}

// Sums of two products of the largest bytes: what saturates first.
TEST_P(LinearStepTest, TheLargestCodesTimesTheLargestActivationsDoNotSaturate) {
  constexpr int64_t kCols = 64;
  Context context(1);
  for (const int code : {-128, -127, 127}) {
    Weight weight(DType::kQ8_0, 32, kCols, 1);
    for (size_t i = 0; i < weight.bytes.size(); ++i)
      weight.bytes[i] = i % 34 == 1 ? std::byte{0x3c} : i % 34 == 0 ? std::byte{0} : static_cast<std::byte>(code);
    const Matrix matrix = Pack(GetParam(), context, {weight.rows});
    for (const int64_t tokens : {1, 3, 18}) {
      std::vector<float> x(static_cast<size_t>(tokens * kCols), 127.0f);
      for (int64_t k = 0; k < kCols; ++k) x[k] = -127.0f;
      const std::vector<float> out = RunLinear(context, matrix.get(), x, tokens);
      for (size_t i = 0; i < out.size(); ++i)
        EXPECT_EQ(out[i], static_cast<float>((i < 32 ? -1 : 1) * 127 * code * kCols)) << code << " " << i;
    }
  }
}

TEST_P(LinearStepTest, GatheredRowsPackAsMappedOnes) {
  Context context(2);
  const Weight weight(DType::kQ5_K, 75, 512, 1);
  WeightRows gathered = weight.rows;
  gathered.data = nullptr;
  gathered.context = &weight;
  gathered.gather = [](const void* from, int64_t first, int64_t count, std::byte* dst) {
    const int64_t row_bytes = RowBytes(DType::kQ5_K, 512);
    std::memcpy(dst, static_cast<const Weight*>(from)->bytes.data() + first * row_bytes,
                static_cast<size_t>(count * row_bytes));
  };
  const Matrix a = Pack(GetParam(), context, {weight.rows, weight.rows});
  const Matrix b = Pack(GetParam(), context, {gathered, gathered});
  const std::vector<float> x = RandomVector(2 * 512, 2);
  EXPECT_EQ(RunLinear(context, a.get(), x, 2), RunLinear(context, b.get(), x, 2));
}

INSTANTIATE_TEST_SUITE_P(All, LinearStepTest, testing::Values(Isa::kGeneric, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& info) { return std::string(IsaName(info.param)); });

TEST(LinearPack, RefusesWhatItCannotPack) {
  Context context(1);
  const Weight a(DType::kQ8_0, 4, 64, 1);
  const Weight b(DType::kQ8_0, 4, 96, 1);
  const WeightRows narrow[] = {a.rows, b.rows};
  ErrorText error;
  EXPECT_EQ(PackMatrixCpu(Isa::kGeneric, &context.op, narrow, 2, nullptr, false, &error), nullptr);
  EXPECT_STREQ(error.text, "parts have 64 and 96 columns");
  WeightRows ints = a.rows;
  ints.dtype = DType::kI32;
  EXPECT_EQ(PackMatrixCpu(Isa::kGeneric, &context.op, &ints, 1, nullptr, false, &error), nullptr);
  EXPECT_STREQ(error.text, "I32 is not a type of weights");
  WeightRows odd = a.rows;
  odd.cols = 40;
  EXPECT_EQ(PackMatrixCpu(Isa::kGeneric, &context.op, &odd, 1, nullptr, false, &error), nullptr);
  EXPECT_STREQ(error.text, "40 columns are not whole Q8_0 blocks of 32");
}

}  // namespace
}  // namespace millrace::kernels
