#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/dequantize.h"
#include "kernels/linear/linear.h"

namespace millrace::kernels {
namespace {

std::vector<double> NormRef(const double* x, int64_t cols, const Norm& norm) {
  std::vector<double> out(x, x + cols);
  if (norm.kind == NormKind::kNone) return out;
  double mean = 0.0;
  if (norm.kind == NormKind::kLayer) {
    for (const double value : out) mean += value / static_cast<double>(cols);
  }
  double squares = 0.0;
  for (const double value : out) squares += (value - mean) * (value - mean) / static_cast<double>(cols);
  for (int64_t i = 0; i < cols; ++i) {
    out[i] = (out[i] - mean) / std::sqrt(squares + norm.eps) * norm.weight[i];
    if (norm.bias != nullptr) out[i] += norm.bias[i];
  }
  return out;
}

// W norm(x) + bias of one token, over all parts.
std::vector<double> MultiplyRef(const WeightRows* parts, int num_parts, const float* bias, const float* x,
                                const Norm& norm) {
  const int64_t cols = parts[0].cols;
  const std::vector<double> wide(x, x + cols);
  const std::vector<double> input = NormRef(wide.data(), cols, norm);
  std::vector<double> out;
  std::vector<float> row(static_cast<size_t>(cols));
  for (int p = 0; p < num_parts; ++p) {
    const int64_t row_bytes = RowBytes(parts[p].dtype, cols);
    std::vector<std::byte> gathered(static_cast<size_t>(row_bytes));
    for (int64_t r = 0; r < parts[p].rows; ++r) {
      const std::byte* source = parts[p].data + r * row_bytes;
      if (parts[p].data == nullptr) {
        parts[p].gather(parts[p].context, r, 1, gathered.data());
        source = gathered.data();
      }
      DequantizeRow(parts[p].dtype, source, row.data(), cols);
      double sum = 0.0;
      for (int64_t k = 0; k < cols; ++k) sum += static_cast<double>(row[k]) * input[k];
      out.push_back(sum + (bias != nullptr ? bias[out.size()] : 0.0));
    }
  }
  return out;
}

double ActivateRef(ActivationKind kind, double x) {
  switch (kind) {
    case ActivationKind::kNone:
      return x;
    case ActivationKind::kSilu:
      return x / (1.0 + std::exp(-x));
    case ActivationKind::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case ActivationKind::kGeluErf:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case ActivationKind::kSwigluOai:
      return x / (1.0 + std::exp(-1.702 * x));
    case ActivationKind::kRelu2:
      return x > 0.0 ? x * x : x * 0.0;
  }
  CHECK(false, "unknown activation");
}

}  // namespace

void LinearRef(const WeightRows* parts, int num_parts, const float* bias, const LinearArgs* args) {
  for (int64_t t = 0; t < args->num_tokens; ++t) {
    std::vector<double> y = MultiplyRef(parts, num_parts, bias, args->x + t * args->x_stride, args->pre_norm);
    y = NormRef(y.data(), static_cast<int64_t>(y.size()), args->post_norm);
    float* out = args->out + t * args->out_stride;
    for (size_t n = 0; n < y.size(); ++n) {
      out[n] = static_cast<float>(args->scale * y[n] + (args->accumulate ? static_cast<double>(out[n]) : 0.0));
    }
  }
}

void MlpUpRef(const WeightRows* parts, int num_parts, const float* bias, const MlpUpArgs* args) {
  const double limit = args->swiglu_limit;
  const bool oai = args->activation == ActivationKind::kSwigluOai;
  for (int64_t t = 0; t < args->num_tokens; ++t) {
    const std::vector<double> y = MultiplyRef(parts, num_parts, bias, args->x + t * args->x_stride, args->pre_norm);
    const size_t size = args->gated ? y.size() / 2 : y.size();
    for (size_t i = 0; i < size; ++i) {
      double value = ActivateRef(args->activation, oai ? std::fmin(y[i], limit) : y[i]);
      if (args->gated) {
        const double up = y[size + i];
        value *= oai ? std::fmax(-limit, std::fmin(limit, up)) + 1.0 : up;
      }
      args->out[t * args->out_stride + static_cast<int64_t>(i)] = static_cast<float>(value);
    }
  }
}

}  // namespace millrace::kernels
