// How much the steps read and compute, from their shapes: with the time that they took it is what the machine achieved.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/batch.h"
#include "model_loader/checkpoint.h"

namespace millrace {

// Parameters of the layers that a token is multiplied with: neither embedding nor head, and of the experts those it is
// routed to.
int64_t ActiveParameters(const Checkpoint& checkpoint);

struct StepWork {
  int num_rows = 0;
  int num_tokens = 0;
  int64_t read_bytes = 0;  // all weights once, and the KV blocks of every row
  double flops = 0;        // products with the weights; attention apart
};

class StepMeter {
 public:
  StepMeter(const Checkpoint& checkpoint, int64_t weight_bytes, int64_t block_bytes);
  StepWork Measure(const Batch& batch) const;

 private:
  int64_t weight_bytes_, block_bytes_, active_parameters_, head_parameters_;
};

// Counts by the powers of two that bound them: [i] is of values in (2^(i - 1), 2^i], the last of all larger ones.
struct PowerHistogram {
  static constexpr size_t kNumPowers = 14;  // up to 8192
  std::array<int64_t, kNumPowers + 1> counts{};
  int64_t sum = 0;
  void Add(int64_t value);
};

// Of all steps since the start.
struct WorkTotals {
  PowerHistogram rows, tokens;  // by step
  int64_t step_us = 0;
  int64_t read_bytes = 0;
  double flops = 0;
  StepWork last;
  void Add(const StepWork& work, int64_t step_us_of_it);
};

}  // namespace millrace
