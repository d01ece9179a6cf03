// Timed runs of a model without scheduler, the greedy choice of a token included: prefill, decode at a depth, batched
// decode.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/model_runner.h"

namespace millrace {

// Drives a ModelRunner with batches whose sequences own contiguous runs of KV blocks.
class BenchRunner {
 public:
  // Room for num_sequences of max_tokens each.
  static Result<std::unique_ptr<BenchRunner>> Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                     RunnerOptions options, int num_sequences, int max_tokens);

  // Runs `count` tokens of every sequence behind the first `context` ones, in steps of at most max_num_batched_tokens;
  // seconds.
  double Prefill(int num_sequences, int context, int count);
  // `count` steps of one token for every sequence from depth `context` on; seconds.
  double Decode(int num_sequences, int context, int count);

  const ModelRunner& runner() const { return *runner_; }
  // Of the first step that failed, whose times mean nothing; empty: none.
  const std::string& error() const { return error_; }

 private:
  void RunStep(const std::vector<int>& sequences, int context, int count);

  std::unique_ptr<ModelRunner> runner_;
  std::string error_;
  int step_tokens_ = 0;          // of a step of prefill
  int blocks_per_sequence_ = 0;  // of one group
  uint64_t step_ = 0;
  std::set<int> started_;  // sequences that the sampler knows
  std::shared_ptr<const SamplingParams> greedy_;
};

}  // namespace millrace
