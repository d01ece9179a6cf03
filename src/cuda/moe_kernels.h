// Kernels of the mixture of experts. k experts a token; choice j of token t is number t k + j, best first.
#pragma once

#include "cuda/linear.h"

namespace millrace::cuda {

inline constexpr int kMaxExperts = 256;
inline constexpr int kMaxChoicesPerToken = 64;

// The best k of num_experts logits (ties to the lowest id) and their weights: softmax over all experts, or over the
// chosen. A NaN makes every weight of the token NaN.
struct RouteParams {
  const float* logits = nullptr;  // [num_tokens, num_experts]
  int num_tokens = 0;
  int num_experts = 0;
  int k = 0;
  bool softmax_over_all = false;
  int* experts = nullptr;    // [num_tokens, k]
  float* weights = nullptr;  // [num_tokens, k]
};
void LaunchRoute(const RouteParams& params, void* stream);

// Gives every choice a row, rows of one expert side by side; which comes first among them changes nobody's bits.
struct SortChoicesParams {
  const int* experts = nullptr;  // [num_choices]
  int num_choices = 0;
  int num_experts = 0;
  int k = 0;
  int* start = nullptr;          // [num_experts + 1]: rows [start[e], start[e + 1]) are expert e's
  int* token_of_row = nullptr;   // [num_choices]
  int* row_of_choice = nullptr;  // [num_choices]
};
void LaunchSortChoices(const SortChoicesParams& params, void* stream);

// The product of every expert with its rows: params' weights, scales, bias and num_tokens are replaced by the expert's.
// Row r of the output reads row x_rows[r] of x, or r where x_rows is null.
struct ExpertProductParams {
  LinearParams product;
  const int* start = nullptr;
  const int* x_rows = nullptr;
  int num_experts = 0;
  const std::byte* weights[kMaxExperts] = {};
  const uint32_t* scales[kMaxExperts] = {};
  const float* bias[kMaxExperts] = {};
};
// rows_per_expert: about how many there will be, to choose the width of a step over them.
void LaunchExpertProduct(WeightFormat format, const ExpertProductParams& params, int rows_per_expert, void* stream);

// x[t] += scale * (sum over j of weights[t, j] * y[row_of_choice[t, j]] + sigmoid(gate[t]) * shared[t]), in this order.
struct CombineParams {
  float* x = nullptr;        // [num_tokens, hidden]
  const float* y = nullptr;  // [num_choices, hidden]
  const float* weights = nullptr;
  const int* row_of_choice = nullptr;
  const float* shared = nullptr;       // [num_tokens, hidden] or null
  const float* shared_gate = nullptr;  // [num_tokens] or null: 1
  int num_tokens = 0;
  int hidden = 0;
  int k = 0;
  float scale = 1.0f;
};
void LaunchCombine(const CombineParams& params, void* stream);

}  // namespace millrace::cuda
