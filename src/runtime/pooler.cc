#include "runtime/pooler.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm/norm.h"

namespace millrace {

void Pooler::AddRow(const float* x, std::vector<double>& sum) {
  kernels::NormRow(norm_, 0, x, static_cast<int64_t>(row_.size()), row_.data());
  for (size_t i = 0; i < row_.size(); ++i) sum[i] += row_[i];
}

void Pooler::Report(const std::vector<double>& sum, int num_tokens, OutputResult* result) {
  for (const double value : sum) result->embedding.push_back(static_cast<float>(value / num_tokens));
  result->failed = !std::all_of(result->embedding.begin(), result->embedding.end(),
                                [](float value) { return std::isfinite(value); });
  if (result->failed) result->error = "the hidden states are not finite";
}

void Pooler::Run(const Batch& batch, const float* x, StepResult* result) {
  const auto hidden = static_cast<int64_t>(row_.size());
  for (size_t o = 0; o < batch.outputs.size(); ++o) {
    const OutputRow& output = batch.outputs[o];
    if (output.pooling == Pooling::kNone) continue;
    const auto row = static_cast<size_t>(output.row);
    const bool last_token = output.pooling == Pooling::kLast;
    std::vector<double>& sum = sums_[batch.sequences[row]];
    if (last_token || batch.context_len[row] == 0) sum.assign(row_.size(), 0.0);  // preempted sequences begin again
    const int first = last_token ? output.token_index : batch.query_start[row];
    for (int token = first; token <= output.token_index; ++token) AddRow(x + token * hidden, sum);
    if (output.sample) Report(sum, last_token ? 1 : output.output_position, &result->outputs[o]);
  }
}

}  // namespace millrace
