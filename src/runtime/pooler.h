// Pooler: one vector of a text, made of the hidden states of its tokens (after the final norm). Keeps the running sums
// of sequences whose prompt takes several steps. Sums are in double and in the order of the tokens, so that chunks do
// not change the result.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/batch.h"
#include "kernels/op_table.h"

namespace millrace {

class Pooler {
 public:
  Pooler(int64_t hidden_size, kernels::Norm final_norm) : norm_(final_norm), row_(static_cast<size_t>(hidden_size)) {}

  // Takes the rows of `batch` that are pooled from the residual stream x [num_tokens, hidden_size] on the host, and
  // fills the results of those that are complete: OutputResult::embedding, not normalised; failed when it is not
  // finite.
  void Run(const Batch& batch, const float* x, StepResult* result);
  void Finish(SequenceId sequence) { sums_.erase(sequence); }

 private:
  void AddRow(const float* x, std::vector<double>& sum);
  static void Report(const std::vector<double>& sum, int num_tokens, OutputResult* result);

  const kernels::Norm norm_;
  std::vector<float> row_;
  std::unordered_map<SequenceId, std::vector<double>> sums_;
};

}  // namespace millrace
