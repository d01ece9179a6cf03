#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/norm/norm_kernels.h"

namespace millrace::kernels {
namespace {

std::vector<NormRowKernel*> Kernels() {
  std::vector<NormRowKernel*> kernels;
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (IsaAvailable(isa)) kernels.push_back(GetNormRowKernel(isa));
  }
  return kernels;
}

std::vector<float> Row(int n) {
  std::vector<float> x(n);
  for (int i = 0; i < n; ++i) x[i] = std::sin(0.7f * static_cast<float>(i) + 1.0f) + 0.25f;
  return x;
}

TEST(NormRow, RmsMatchesItsFormula) {
  for (const int n : {1, 7, 16, 33, 128, 1000}) {
    const std::vector<float> x = Row(n);
    std::vector<float> weight(n, 1.5f), y(n);
    double sum = 0;
    for (const float v : x) sum += static_cast<double>(v) * v;
    const double inverse = 1.0 / std::sqrt(sum / n + 1e-6);
    for (NormRowKernel* kernel : Kernels()) {
      kernel({.kind = NormKind::kRms, .weight = weight.data(), .eps = 1e-6f}, 0, x.data(), n, y.data());
      for (int i = 0; i < n; ++i) EXPECT_NEAR(y[i], x[i] * inverse * 1.5, 2e-6) << n << " " << i;
    }
  }
}

TEST(NormRow, LayerMatchesItsFormula) {
  for (const int n : {1, 7, 16, 33, 128, 1000}) {
    const std::vector<float> x = Row(n);
    std::vector<float> weight(n, 0.5f), bias(n, 2.0f), y(n);
    double mean = 0, variance = 0;
    for (const float v : x) mean += v;
    mean /= n;
    for (const float v : x) variance += (v - mean) * (v - mean);
    const double inverse = 1.0 / std::sqrt(variance / n + 1e-5);
    for (NormRowKernel* kernel : Kernels()) {
      kernel({.kind = NormKind::kLayer, .weight = weight.data(), .bias = bias.data(), .eps = 1e-5f}, 0, x.data(), n,
             y.data());
      for (int i = 0; i < n; ++i) EXPECT_NEAR(y[i], (x[i] - mean) * inverse * 0.5 + 2.0, 3e-6) << n << " " << i;
    }
  }
}

TEST(NormRow, WorksInPlaceAndTakesItsSliceOfTheWeights) {
  std::vector<float> x = Row(32), expected(32);
  std::vector<float> weight(64, 1.0f);
  for (int i = 32; i < 64; ++i) weight[i] = 3.0f;
  const Norm norm{.kind = NormKind::kRms, .weight = weight.data()};
  NormRow(norm, 0, x.data(), 32, expected.data());
  NormRow(norm, 32, x.data(), 32, x.data());
  for (int i = 0; i < 32; ++i) EXPECT_FLOAT_EQ(x[i], 3.0f * expected[i]);
}

}  // namespace
}  // namespace millrace::kernels
