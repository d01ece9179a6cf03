#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/gated_delta/gated_delta_kernels.h"

namespace millrace::kernels {
namespace {

using Vector = std::vector<double>;

double Silu(double x) {
  return x / (1.0 + std::exp(-x));
}

// All conv channels of new token j of a row.
Vector Convolved(const GatedDeltaArgs& args, int row, int j) {
  const int64_t channels = ConvChannels(args);
  const float* state = args.state_in[row * (1 + args.num_value_heads)];
  Vector out(channels, 0.0);
  for (int head = 0; head < args.num_value_heads; ++head) {
    const DeltaOffsets at = OffsetsOf(args, head);
    const auto fill = [&](int64_t input, int64_t channel, int count) {
      for (int i = 0; i < count; ++i) {
        double sum = 0;
        for (int tap = 0; tap < args.conv_kernel; ++tap) {
          const int token = j + tap - (args.conv_kernel - 1);
          double value = 0;
          if (token >= 0) {
            value = args.qkvz[(args.query_start[row] + token) * args.qkvz_stride + input + i];
          } else if (state != nullptr) {
            value = state[(token + args.conv_kernel - 1) * channels + channel + i];
          }
          sum += value * args.conv_weight[(channel + i) * args.conv_kernel + tap];
        }
        out[channel + i] = Silu(sum);
      }
    };
    fill(at.q, at.q_conv, args.key_head_dim);
    fill(at.k, at.k_conv, args.key_head_dim);
    fill(at.v, at.v_conv, args.value_head_dim);
  }
  return out;
}

Vector Normalised(const Vector& x, int64_t begin, int n, double factor) {
  double sum = 1e-6;
  for (int i = 0; i < n; ++i) sum += x[begin + i] * x[begin + i];
  Vector out(n);
  for (int i = 0; i < n; ++i) out[i] = x[begin + i] * factor / std::sqrt(sum);
  return out;
}

// Runs one token through state S; returns the output before the norm.
Vector Step(const GatedDeltaArgs& args, int head, int token, const Vector& conv, Vector& s) {
  const DeltaOffsets at = OffsetsOf(args, head);
  const int key_dim = args.key_head_dim;
  const int value_dim = args.value_head_dim;
  const Vector q = Normalised(conv, at.q_conv, key_dim, 1.0 / std::sqrt(key_dim));
  const Vector k = Normalised(conv, at.k_conv, key_dim, 1.0);
  const float* ba = args.ba + token * args.ba_stride;
  const double decay = std::exp(-std::exp(args.a_log[head]) * std::log1p(std::exp(ba[at.a] + args.dt_bias[head])));
  const double beta = 1.0 / (1.0 + std::exp(-ba[at.b]));
  Vector out(value_dim, 0.0);
  for (int d = 0; d < value_dim; ++d) {
    double recalled = 0;
    for (int i = 0; i < key_dim; ++i) recalled += (s[i * value_dim + d] *= decay) * k[i];
    const double delta = beta * (conv[at.v_conv + d] - recalled);
    for (int i = 0; i < key_dim; ++i) out[d] += (s[i * value_dim + d] += k[i] * delta) * q[i];
  }
  return out;
}

}  // namespace

void GatedDeltaRef(const GatedDeltaArgs& args) {
  const int value_dim = args.value_head_dim;
  const int64_t channels = ConvChannels(args);
  for (int row = 0; row < args.num_rows; ++row) {
    const float* const* state_in = args.state_in + row * (1 + args.num_value_heads);
    float* const* state_out = args.state_out + row * (1 + args.num_value_heads);
    const int begin = args.query_start[row];
    const int num_new = args.query_start[row + 1] - begin;
    std::vector<Vector> conv;
    for (int j = 0; j < num_new; ++j) conv.push_back(Convolved(args, row, j));
    for (int head = 0; head < args.num_value_heads; ++head) {
      Vector s(static_cast<size_t>(args.key_head_dim) * value_dim, 0.0);
      if (state_in[1 + head] != nullptr) s.assign(state_in[1 + head], state_in[1 + head] + s.size());
      for (int j = 0; j < num_new; ++j) {
        const Vector o = Step(args, head, begin + j, conv[j], s);
        double square = 0;
        for (const double value : o) square += value * value / value_dim;
        for (int d = 0; d < value_dim; ++d) {
          const double z = args.qkvz[(begin + j) * args.qkvz_stride + OffsetsOf(args, head).z + d];
          args.out[(begin + j) * args.out_stride + head * value_dim + d] =
              static_cast<float>(o[d] / std::sqrt(square + args.out_norm.eps) * args.out_norm.weight[d] * Silu(z));
        }
      }
      std::copy(s.begin(), s.end(), state_out[1 + head]);
    }
    std::vector<float> inputs(static_cast<size_t>(args.conv_kernel - 1) * channels, 0.0f);
    if (state_in[0] != nullptr) std::copy_n(state_in[0], inputs.size(), inputs.begin());
    for (int j = 0; j < num_new; ++j) {
      inputs.erase(inputs.begin(), inputs.begin() + channels);
      inputs.resize(inputs.size() + channels);
      float* last = inputs.data() + inputs.size() - channels;
      for (int head = 0; head < args.num_value_heads; ++head) {
        const DeltaOffsets at = OffsetsOf(args, head);
        const float* from = args.qkvz + (begin + j) * args.qkvz_stride;
        std::copy_n(from + at.q, args.key_head_dim, last + at.q_conv);
        std::copy_n(from + at.k, args.key_head_dim, last + at.k_conv);
        std::copy_n(from + at.v, value_dim, last + at.v_conv);
      }
    }
    std::copy(inputs.begin(), inputs.end(), state_out[0]);
  }
}

}  // namespace millrace::kernels
