// Products of packed weights and bf16 activations on tensor cores; linear_format.h has the layout and the order of
// sums.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/linear_format.h"

namespace millrace::cuda {

// Values as kernels::ActivationKind.
enum class Activation : int { kNone, kSilu, kGeluTanh, kGeluErf, kSwigluOai, kRelu2 };

// Plain: out[t, n] (+)= softcapped(scale * activation(w[n] . x[t] + bias[n])).
// Gated: out[t, n] = activation(gate) * up.
struct LinearParams {
  const uint16_t* x = nullptr;         // [num_tokens, num_steps * StepElems] bf16, zeros beyond K
  const std::byte* weights = nullptr;  // [padded_rows, num_steps * StepBytes]
  const uint32_t* scales = nullptr;    // [num_steps, padded_rows, ScaleWords]; null for bf16
  const float* bias = nullptr;         // [padded_rows] in packed order, or null
  float* out = nullptr;                // [num_tokens, num_rows]
  int64_t out_stride = 0;
  int num_tokens = 0;
  int num_rows = 0;  // outputs: half the matrix when gated
  int padded_rows = 0;
  int num_steps = 0;
  int num_splits = 1;
  float scale = 1.0f;
  float softcap = 0.0f;
  float swiglu_limit = 0.0f;
  Activation activation = Activation::kNone;
  bool accumulate = false;
  bool gated = false;
};

// Up to this many tokens the weights are streamed from memory straight into fragments; beyond, tiles are shared by a
// block.
inline constexpr int kMaxStreamTokens = 16;

void LaunchLinear(WeightFormat format, const LinearParams& params, void* stream);
// One kernel of the two, for tests and measurements.
void LaunchLinearStream(WeightFormat format, const LinearParams& params, void* stream);
void LaunchLinearTile(WeightFormat format, const LinearParams& params, void* stream);

}  // namespace millrace::cuda
