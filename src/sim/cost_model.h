// StepCostModel: how long a step takes, learnt from measured steps.
//
//   us = base + sum over ranges r of slope_r * (tokens in range r) + per_output * outputs + per_pair * pairs
//        + per_copy * copied blocks
// tokens are those of all rows; the ranges lie between kTokenKnots, since a product with few rows costs what reading
// the weights costs and one with many what its arithmetic costs. pairs are (new token, KV slot that it attends to).
// Every coefficient is >= 0; they minimise the squared error relative to the prediction (reweighted non-negative least
// squares, coordinate descent).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/batch.h"

namespace millrace::sim {

// One step as the model sees it.
struct StepShape {
  int num_tokens = 0;
  int num_outputs = 0;
  int64_t num_pairs = 0;
  int num_copies = 0;
};
StepShape ShapeOf(const Batch& batch);

struct StepSample {
  StepShape shape;
  double us = 0;
};

class StepCostModel {
 public:
  static constexpr std::array<int, 7> kTokenKnots = {0, 1, 4, 16, 64, 256, 1024};

  // At least one sample with us > 0.
  static Result<StepCostModel> Fit(std::span<const StepSample> samples);
  // A file with {"steps": [[tokens, outputs, pairs, copies, us], ...]} as `bench --engine --steps-out` writes it, or
  // the output of `bench --json`.
  static Result<StepCostModel> Load(const std::string& path);
  static Result<StepCostModel> Parse(std::string_view json);

  double Us(const StepShape& shape) const;
  // Over the samples of the fit: median of |predicted / measured - 1|, and (sum of predicted) / (sum of measured) - 1.
  double median_error() const { return median_error_; }
  double total_error() const { return total_error_; }

 private:
  static constexpr size_t kFeatures = kTokenKnots.size() + 4;
  static std::array<double, kFeatures> Features(const StepShape& shape);
  void FitOnce(std::span<const StepSample> samples, std::span<const double> size);

  std::array<double, kFeatures> coefficients_{};
  double median_error_ = 0;
  double total_error_ = 0;
};

// The file that Load reads.
std::string StepSamplesToJson(std::span<const StepSample> samples);

}  // namespace millrace::sim
