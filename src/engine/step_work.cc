#include "engine/step_work.h"

namespace millrace {

int64_t ActiveParameters(const Checkpoint& checkpoint) {
  const ModelConfig& c = checkpoint.config();
  const int64_t embedding = int64_t{c.vocab_size} * c.hidden_size;
  int64_t active = checkpoint.info().num_parameters - (c.tie_word_embeddings ? 1 : 2) * embedding;
  if (c.num_experts > 0) {
    const int64_t expert = 3 * int64_t{c.hidden_size} * c.moe_intermediate_size;
    active -= (c.num_experts - c.num_experts_per_tok) * expert * c.num_hidden_layers;
  }
  return active;
}

StepMeter::StepMeter(const Checkpoint& checkpoint, int64_t weight_bytes, int64_t block_bytes)
    : weight_bytes_(weight_bytes),
      block_bytes_(block_bytes),
      active_parameters_(ActiveParameters(checkpoint)),
      head_parameters_(int64_t{checkpoint.config().vocab_size} * checkpoint.config().hidden_size) {}

StepWork StepMeter::Measure(const Batch& batch) const {
  StepWork work{batch.num_rows(), batch.num_tokens()};
  size_t num_blocks = 0;
  for (const GroupTables& tables : batch.groups) num_blocks += tables.block_ids.size();
  work.read_bytes = weight_bytes_ + static_cast<int64_t>(num_blocks) * block_bytes_;
  work.flops = 2.0 * (static_cast<double>(active_parameters_) * work.num_tokens +
                      static_cast<double>(head_parameters_) * static_cast<double>(batch.outputs.size()));
  return work;
}

void PowerHistogram::Add(int64_t value) {
  size_t power = 0;
  while (power < kNumPowers && value > int64_t{1} << power) ++power;
  ++counts[power];
  sum += value;
}

void WorkTotals::Add(const StepWork& work, int64_t step_us_of_it) {
  rows.Add(work.num_rows);
  tokens.Add(work.num_tokens);
  step_us += step_us_of_it;
  read_bytes += work.read_bytes;
  flops += work.flops;
  last = work;
}

}  // namespace millrace
