#include "models/layers/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace millrace {
namespace {

std::vector<float> PlainFrequencies(double theta, int rotary_dim) {
  std::vector<float> inv_freq(static_cast<size_t>(rotary_dim / 2));
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    inv_freq[i] = static_cast<float>(1.0 / std::pow(theta, 2.0 * static_cast<double>(i) / rotary_dim));
  }
  return inv_freq;
}

void ScaleLlama3(const RopeScaling& s, std::vector<float>* inv_freq) {
  const double low_wavelength = s.original_max_position_embeddings / s.low_freq_factor;
  const double high_wavelength = s.original_max_position_embeddings / s.high_freq_factor;
  for (float& freq : *inv_freq) {
    const double wavelength = 2.0 * std::numbers::pi / freq;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength) {
      freq /= s.factor;
    } else {
      const double smooth = (s.original_max_position_embeddings / wavelength - s.low_freq_factor) /
                            (s.high_freq_factor - s.low_freq_factor);
      freq = static_cast<float>((1.0 - smooth) * freq / s.factor + smooth * freq);
    }
  }
}

// The dimension whose frequency turns `rotations` times over the original context.
double YarnDimension(double rotations, int rotary_dim, double theta, double max_positions) {
  return rotary_dim * std::log(max_positions / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(theta));
}

double YarnMscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void ScaleYarn(const RopeScaling& s, double theta, int rotary_dim, Model::RopeVariant* out) {
  double low = YarnDimension(s.beta_fast, rotary_dim, theta, s.original_max_position_embeddings);
  double high = YarnDimension(s.beta_slow, rotary_dim, theta, s.original_max_position_embeddings);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rotary_dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < out->inv_freq.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double extrapolated = out->inv_freq[i];
    out->inv_freq[i] = static_cast<float>(extrapolated / s.factor * ramp + extrapolated * (1.0 - ramp));
  }
  if (s.attention_factor > 0.0f) {
    out->attention_factor = s.attention_factor;
  } else if (s.mscale > 0.0f && s.mscale_all_dim > 0.0f) {
    out->attention_factor = static_cast<float>(YarnMscale(s.factor, s.mscale) / YarnMscale(s.factor, s.mscale_all_dim));
  } else {
    out->attention_factor = static_cast<float>(YarnMscale(s.factor, 1.0));
  }
}

void ScaleLongRope(const ModelConfig& config, const RopeScaling& s, int max_model_len, Model::RopeVariant* out) {
  const int original = s.original_max_position_embeddings;
  const std::vector<float>& factors = max_model_len > original ? s.long_factor : s.short_factor;
  for (size_t i = 0; i < out->inv_freq.size() && i < factors.size(); ++i) out->inv_freq[i] /= factors[i];
  const double factor = static_cast<double>(config.max_position_embeddings) / original;
  if (s.attention_factor > 0.0f) {
    out->attention_factor = s.attention_factor;
  } else if (factor > 1.0) {
    out->attention_factor =
        static_cast<float>(std::sqrt(1.0 + std::log(factor) / std::log(static_cast<double>(original))));
  }
}

}  // namespace

Model::RopeVariant MakeRopeVariant(const ModelConfig& config, float theta, const RopeScaling& scaling,
                                   int max_model_len) {
  const int rotary_dim = config.rotary_dim;
  RopeScaling s = scaling;
  if (s.original_max_position_embeddings == 0) s.original_max_position_embeddings = config.max_position_embeddings;
  Model::RopeVariant out;
  out.inv_freq = PlainFrequencies(theta, rotary_dim);
  if (!s.freq_factors.empty()) {
    for (size_t i = 0; i < out.inv_freq.size() && i < s.freq_factors.size(); ++i) out.inv_freq[i] /= s.freq_factors[i];
    return out;
  }
  switch (s.type) {
    case RopeScalingType::kNone:
      break;
    case RopeScalingType::kLinear:
      for (float& freq : out.inv_freq) freq /= s.factor;
      break;
    case RopeScalingType::kDynamic: {
      const double original = s.original_max_position_embeddings;
      const double length = std::max<double>(max_model_len, original);
      const double grown = std::pow(s.factor * length / original - (s.factor - 1.0), rotary_dim / (rotary_dim - 2.0));
      out.inv_freq = PlainFrequencies(theta * grown, rotary_dim);
      break;
    }
    case RopeScalingType::kYarn:
      ScaleYarn(s, theta, rotary_dim, &out);
      break;
    case RopeScalingType::kLlama3:
      ScaleLlama3(s, &out.inv_freq);
      break;
    case RopeScalingType::kLongRope:
      ScaleLongRope(config, s, max_model_len, &out);
      break;
  }
  return out;
}

}  // namespace millrace
