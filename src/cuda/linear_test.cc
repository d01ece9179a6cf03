// Products on the emulated GPU against LinearRef and MlpUpRef of the CPU, over formats, remainder shapes and both
// kernels.
#include "kernels/linear/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/dequantize.h"
#include "base/half.h"
#include "cuda/packed_matrix.h"
#include "cuda/test_device.h"

namespace millrace::cuda {
namespace {

using kernels::LinearArgs;
using kernels::MlpUpArgs;
using kernels::WeightRows;

struct Weights {
  DType type;
  int64_t rows, cols;
  std::vector<std::byte> stored;

  Weights(DType type_in, int64_t rows_in, int64_t cols_in, uint64_t seed)
      : type(type_in), rows(rows_in), cols(cols_in) {
    std::mt19937_64 rng(seed);
    std::normal_distribution<float> normal;
    std::vector<float> row(static_cast<size_t>(cols));
    stored.resize(static_cast<size_t>(rows * RowBytes(type, cols)));
    for (int64_t r = 0; r < rows; ++r) {
      for (float& value : row) value = normal(rng);
      QuantizeRow(type, row.data(), stored.data() + r * RowBytes(type, cols), cols);
    }
  }
  WeightRows view() const { return {type, rows, cols, stored.data(), nullptr, nullptr}; }
};

std::vector<float> RandomFloats(size_t n, uint64_t seed, bool bf16 = true) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& value : x) value = bf16 ? Bf16ToF32(F32ToBf16(normal(rng))) : normal(rng);
  return x;
}

struct Packed {
  const kernels::OpTable& ops;
  kernels::PackedMatrix* matrix = nullptr;
  ~Packed() { ops.free_matrix(matrix); }
};

// Inputs are bf16 values, so that only the order of f32 sums differs from the reference: cols roundings of 2^-24 on
// terms of about 1.
double Tolerance(int64_t cols) {
  return 1e-5 * std::sqrt(static_cast<double>(cols)) + 1e-4;
}

void ExpectProduct(DType type, int64_t rows, int64_t cols, int64_t tokens) {
  SCOPED_TRACE(fmt::format("{} {}x{}, {} tokens", DTypeName(type), rows, cols, tokens));
  TestDevice device;
  const Weights weights(type, rows, cols, 7);
  const WeightRows part = weights.view();
  const std::vector<float> bias = RandomFloats(static_cast<size_t>(rows), 8);
  kernels::ErrorText error;
  Packed packed{device.ops, device.ops.pack_matrix(&device.context, &part, 1, bias.data(), false, &error)};
  ASSERT_NE(packed.matrix, nullptr) << error.text;
  const int64_t x_stride = cols + 4, out_stride = rows + 3;
  const std::vector<float> x = RandomFloats(static_cast<size_t>(tokens * x_stride), 9);
  std::vector<float> expected(static_cast<size_t>(tokens * out_stride), -5.0f);
  DeviceArray<float> device_x(x), device_out(expected);
  LinearArgs args{.x = device_x.data(),
                  .x_stride = x_stride,
                  .num_tokens = tokens,
                  .matrix = packed.matrix,
                  .scale = 0.5f,
                  .accumulate = true,
                  .out = device_out.data(),
                  .out_stride = out_stride};
  device.ops.linear(&device.context, &args);
  const std::vector<float> out = device_out.Read();
  args.x = x.data();
  args.out = expected.data();
  kernels::LinearRef(&part, 1, bias.data(), &args);
  for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], Tolerance(cols)) << "element " << i;
}

TEST(CudaLinear, EveryFormatAndRemainder) {
  for (const DType type : {DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ5_0, DType::kIQ4_NL}) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{16, 64}, {40, 96}, {5, 160}, {33, 544}}) {
      for (const int64_t tokens : {1, 3, 9, 17}) ExpectProduct(type, rows, cols, tokens);
    }
  }
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{40, 256}, {5, 1280}}) {
    for (const int64_t tokens : {1, 9, 17}) ExpectProduct(DType::kQ4_K, rows, cols, tokens);
  }
  ExpectProduct(DType::kBF16, 24, 40, 2);  // half a step
  ExpectProduct(DType::kQ4_0, 150, 288, 70);
  ExpectProduct(DType::kBF16, 150, 1088, 130);  // several runs of k
}

TEST(CudaLinear, TheSameBitsAloneAndInAnyCompany) {
  for (const DType type : {DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K}) {
    TestDevice device;
    const int64_t rows = 144, cols = GetDTypeInfo(type).block_elems > 32 ? 1280 : 1120, tokens = 72;
    const Weights weights(type, rows, cols, 17);
    const WeightRows part = weights.view();
    kernels::ErrorText error;
    Packed packed{device.ops, device.ops.pack_matrix(&device.context, &part, 1, nullptr, false, &error)};
    ASSERT_GT(Matrix(packed.matrix).num_splits, 1);
    DeviceArray<float> x(RandomFloats(static_cast<size_t>(tokens * cols), 19, false));
    const auto run = [&](int64_t first, int64_t count) {
      DeviceArray<float> out(std::vector<float>(static_cast<size_t>(count * rows), NAN));
      const LinearArgs args{.x = x.data() + first * cols,
                            .x_stride = cols,
                            .num_tokens = count,
                            .matrix = packed.matrix,
                            .out = out.data(),
                            .out_stride = rows};
      device.ops.linear(&device.context, &args);
      return out.Read();
    };
    const std::vector<float> together = run(0, tokens);
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {3, 5}, {10, 16}, {20, 40}}) {
      const ScopedSchedule schedule(static_cast<uint64_t>(first) + 1);
      const std::vector<float> some = run(first, count);
      for (size_t i = 0; i < some.size(); ++i) {
        ASSERT_EQ(some[i], together[static_cast<size_t>(first * rows) + i])
            << DTypeName(type) << " " << count << " tokens, " << i;
      }
    }
  }
}

// A mix of K-quants gives the bits of its values rounded to bf16.
TEST(CudaLinear, MixedKQuantsAreTheirBf16Values) {
  TestDevice device;
  const int64_t cols = 512;
  std::vector<Weights> stored;
  std::vector<WeightRows> parts;
  for (const DType type : {DType::kQ6_K, DType::kQ4_K, DType::kQ5_K}) stored.emplace_back(type, 21, cols, 31);
  for (const Weights& weights : stored) parts.push_back(weights.view());
  std::vector<uint16_t> rounded;
  for (const Weights& weights : stored) {
    std::vector<float> row(static_cast<size_t>(cols));
    for (int64_t r = 0; r < weights.rows; ++r) {
      DequantizeRow(weights.type, weights.stored.data() + r * RowBytes(weights.type, cols), row.data(), cols);
      for (const float value : row) rounded.push_back(F32ToBf16(value));
    }
  }
  const int64_t rows = 3 * 21;
  const WeightRows plain = {DType::kBF16, rows,   cols, reinterpret_cast<const std::byte*>(rounded.data()),
                            nullptr,      nullptr};
  kernels::ErrorText error;
  Packed mixed{device.ops, device.ops.pack_matrix(&device.context, parts.data(), 3, nullptr, false, &error)};
  Packed bf16{device.ops, device.ops.pack_matrix(&device.context, &plain, 1, nullptr, false, &error)};
  ASSERT_EQ(Matrix(mixed.matrix).format, WeightFormat::kInt8K);
  EXPECT_LT(device.ops.packed_bytes(mixed.matrix), device.ops.packed_bytes(bf16.matrix) * 6 / 10);
  for (const int64_t tokens : {1, 20}) {
    DeviceArray<float> x(RandomFloats(static_cast<size_t>(tokens * cols), 32));
    const auto run = [&](const kernels::PackedMatrix* matrix) {
      DeviceArray<float> out(std::vector<float>(static_cast<size_t>(tokens * rows), NAN));
      const LinearArgs args{.x = x.data(),
                            .x_stride = cols,
                            .num_tokens = tokens,
                            .matrix = matrix,
                            .out = out.data(),
                            .out_stride = rows};
      device.ops.linear(&device.context, &args);
      return out.Read();
    };
    EXPECT_EQ(run(mixed.matrix), run(bf16.matrix)) << tokens;
  }
}

TEST(CudaLinear, GatedPairsAndActivations) {
  using kernels::ActivationKind;
  for (const auto& [type, activation, gated] : {std::tuple{DType::kBF16, ActivationKind::kSilu, true},
                                                {DType::kQ4_0, ActivationKind::kGeluTanh, true},
                                                {DType::kQ8_0, ActivationKind::kSwigluOai, true},
                                                {DType::kQ4_K, ActivationKind::kSilu, true},
                                                {DType::kBF16, ActivationKind::kGeluErf, false},
                                                {DType::kBF16, ActivationKind::kRelu2, false}}) {
    for (const int64_t tokens : {2, 19}) {
      TestDevice device;
      const int64_t inner = 21, cols = type == DType::kQ4_K ? 256 : 96;
      const Weights gate(type, inner, cols, 3), up(type, inner, cols, 4);
      const WeightRows parts[] = {gate.view(), up.view()};
      const std::vector<float> bias = RandomFloats(static_cast<size_t>(2 * inner), 5);
      const int num_parts = gated ? 2 : 1;
      kernels::ErrorText error;
      Packed packed{device.ops, device.ops.pack_matrix(&device.context, parts, num_parts, bias.data(), gated, &error)};
      ASSERT_NE(packed.matrix, nullptr) << error.text;
      const std::vector<float> x = RandomFloats(static_cast<size_t>(tokens * cols), 6);
      std::vector<float> expected(static_cast<size_t>(tokens * inner), NAN);
      DeviceArray<float> device_x(x), device_out(expected);
      MlpUpArgs args{.x = device_x.data(),
                     .x_stride = cols,
                     .num_tokens = tokens,
                     .matrix = packed.matrix,
                     .gated = gated,
                     .activation = activation,
                     .out = device_out.data(),
                     .out_stride = inner};
      device.ops.mlp_up(&device.context, &args);
      const std::vector<float> out = device_out.Read();
      args.x = x.data();
      args.out = expected.data();
      kernels::MlpUpRef(parts, num_parts, bias.data(), &args);
      // An output is a product of two sums of about ten, through an approximate exponential.
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(out[i], expected[i], 2e-2 + 2e-2 * std::fabs(expected[i])) << DTypeName(type) << ", element " << i;
      }
    }
  }
}

TEST(CudaLinear, NormsAroundAProduct) {
  TestDevice device;
  const int64_t rows = 40, cols = 72, tokens = 3;
  const Weights weights(DType::kBF16, rows, cols, 23);
  const WeightRows part = weights.view();
  kernels::ErrorText error;
  Packed packed{device.ops, device.ops.pack_matrix(&device.context, &part, 1, nullptr, false, &error)};
  const std::vector<float> x = RandomFloats(static_cast<size_t>(tokens * cols), 24, false);
  const std::vector<float> pre = RandomFloats(static_cast<size_t>(cols), 25),
                           pre_bias = RandomFloats(static_cast<size_t>(cols), 26);
  const std::vector<float> post = RandomFloats(static_cast<size_t>(rows), 27);
  for (const kernels::NormKind kind : {kernels::NormKind::kRms, kernels::NormKind::kLayer}) {
    const float* bias = kind == kernels::NormKind::kLayer ? pre_bias.data() : nullptr;
    std::vector<float> expected(static_cast<size_t>(tokens * rows), 1.0f);
    DeviceArray<float> device_x(x), device_out(expected), device_pre(pre), device_bias(pre_bias), device_post(post);
    LinearArgs args{.x = device_x.data(),
                    .x_stride = cols,
                    .num_tokens = tokens,
                    .pre_norm = {kind, device_pre.data(), bias != nullptr ? device_bias.data() : nullptr, 1e-5f},
                    .matrix = packed.matrix,
                    .post_norm = {kernels::NormKind::kRms, device_post.data(), nullptr, 1e-6f},
                    .scale = 0.7f,
                    .accumulate = true,
                    .out = device_out.data(),
                    .out_stride = rows};
    device.ops.linear(&device.context, &args);
    const std::vector<float> out = device_out.Read();
    args.x = x.data();
    args.pre_norm = {kind, pre.data(), bias, 1e-5f};
    args.post_norm = {kernels::NormKind::kRms, post.data(), nullptr, 1e-6f};
    args.out = expected.data();
    kernels::LinearRef(&part, 1, nullptr, &args);
    // The normed input is rounded to bf16: 2^-9 on each of 72 terms, normalised again to about 1.
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 2e-2) << "element " << i;
  }
}

}  // namespace
}  // namespace millrace::cuda
