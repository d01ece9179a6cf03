#include "kernels/norm/norm.h"

#include <cmath>
#include <cstring>

namespace millrace::kernels {

void NormRow(const Norm& norm, int64_t weight_offset, const float* x, int64_t n, float* y) {
  if (norm.kind == NormKind::kNone) {
    if (x != y) std::memcpy(y, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  double mean = 0;
  if (norm.kind == NormKind::kLayer) {
    for (int64_t i = 0; i < n; ++i) mean += x[i];
    mean /= static_cast<double>(n);
  }
  double variance = 0;
  for (int64_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
  variance /= static_cast<double>(n);
  const double inverse = 1.0 / std::sqrt(variance + norm.eps);
  for (int64_t i = 0; i < n; ++i) {
    const float weight = norm.weight != nullptr ? norm.weight[weight_offset + i] : 1.0f;
    const float bias = norm.bias != nullptr ? norm.bias[weight_offset + i] : 0.0f;
    y[i] = static_cast<float>((x[i] - mean) * inverse) * weight + bias;
  }
}

}  // namespace millrace::kernels
