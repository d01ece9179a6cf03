// What the sampling kernel reads; kernels::SampleRow and SampleArgs without their headers.
#pragma once

#include <cstdint>

namespace millrace::cuda {

// Layout of kernels::SampleRow, which has the meaning.
struct DrawRow {
  uint64_t seed;
  int32_t choice_index, position;
  float temperature;
  int32_t top_k;
  float top_p, min_p;
};

struct SampleParams {
  const float* logits = nullptr;  // [num_rows, vocab_size]
  const DrawRow* rows = nullptr;
  int vocab_size = 0;
  int num_rows = 0;
  int32_t* tokens = nullptr;
};

// Drawing without sorting: thresholds by radix selection on keys that order (logit, lowest id first), then the argmax
// of logit / temperature + Gumbel noise among what is left. Probabilities are summed as whole multiples of 2^-40, so
// that no sum depends on the order of additions.
void LaunchSample(const SampleParams& params, void* stream);

}  // namespace millrace::cuda
