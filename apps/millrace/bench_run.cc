#include "bench_run.h"

#include <algorithm>
#include <chrono>

#include "base/checked_math.h"

namespace millrace {
namespace {

constexpr int kStepTokens = 512, kDeviceStepTokens = 2048;  // a GPU needs more to be busy

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<BenchRunner>> BenchRunner::Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                         RunnerOptions options, int num_sequences, int max_tokens) {
  std::unique_ptr<BenchRunner> bench(new BenchRunner());
  SamplingParams greedy;
  greedy.temperature = 0.0f;
  bench->greedy_ = std::make_shared<const SamplingParams>(std::move(greedy));
  options.max_model_len = std::min(max_tokens, checkpoint->config().max_position_embeddings);
  bench->step_tokens_ = options.device == "cpu" ? kStepTokens : kDeviceStepTokens;
  options.max_num_batched_tokens = std::max(bench->step_tokens_, num_sequences);
  options.max_num_seqs = num_sequences;
  if (max_tokens > checkpoint->config().max_position_embeddings) {
    return InvalidArgument("the model has {} positions, --depth, --pp and --tg ask for {}",
                           checkpoint->config().max_position_embeddings, max_tokens);
  }
  ASSIGN_OR_RETURN(bench->runner_, ModelRunner::Create(std::move(checkpoint), options, {}));
  bench->blocks_per_sequence_ = CeilDiv(max_tokens, kKvBlockTokens);
  for (const KvGroupSpec& group : bench->runner_->model().kv_groups()) {
    if (group.kind == KvGroupKind::kRecurrent) {
      bench->blocks_per_sequence_ =
          std::max(bench->blocks_per_sequence_, BlocksPerState(group, bench->runner_->block_bytes()));
    }
  }
  const int64_t groups = static_cast<int64_t>(bench->runner_->model().kv_groups().size());
  RETURN_IF_ERROR(bench->runner_->AllocateKv(groups * num_sequences * bench->blocks_per_sequence_));
  return bench;
}

void BenchRunner::RunStep(const std::vector<int>& sequences, int context, int count) {
  Batch batch;
  batch.step_id = ++step_;
  batch.query_start.push_back(0);
  const int vocab = runner_->model().config().vocab_size;
  const auto& groups = runner_->model().kv_groups();
  batch.groups.resize(groups.size());
  for (GroupTables& tables : batch.groups) tables.row_start.push_back(0);
  for (const int sequence : sequences) {
    const int row = batch.num_rows();
    batch.sequences.push_back(static_cast<SequenceId>(sequence));
    batch.context_len.push_back(context);
    batch.adapter_index.push_back(0);
    for (int i = 0; i < count; ++i) {
      batch.token_ids.push_back(
          static_cast<int32_t>((static_cast<int64_t>(sequence) * 7919 + (context + i) * 104729) % vocab));
      batch.positions.push_back(context + i);
    }
    batch.query_start.push_back(batch.num_tokens());
    for (size_t g = 0; g < groups.size(); ++g) {
      const BlockId first = (static_cast<int>(g) + sequence * static_cast<int>(groups.size())) * blocks_per_sequence_;
      const bool recurrent = groups[g].kind == KvGroupKind::kRecurrent;
      const int entries =
          recurrent ? BlocksPerState(groups[g], runner_->block_bytes()) : CeilDiv(context + count, kKvBlockTokens);
      auto& ids = batch.groups[g].block_ids;
      for (int half = recurrent ? 0 : 1; half < 2; ++half) {
        for (int i = 0; i < entries; ++i) ids.push_back(half == 0 && context == 0 ? kNullBlock : first + i);
      }
      batch.groups[g].row_start.push_back(static_cast<int32_t>(ids.size()));
    }
    batch.outputs.push_back({.token_index = batch.num_tokens() - 1, .row = row, .output_position = context + count});
    if (started_.insert(sequence).second) {
      SequenceStart& start = batch.started.emplace_back();
      start.sequence = static_cast<SequenceId>(sequence);
      start.sampling = greedy_;
    }
  }
  const StepResult result = runner_->Submit(std::move(batch)).Wait();
  if (!error_.empty()) return;
  error_ = result.error;
  for (const OutputResult& output : result.outputs) {
    if (output.failed && error_.empty()) error_ = output.error.empty() ? "an output is not finite" : output.error;
  }
}

double BenchRunner::Prefill(int num_sequences, int context, int count) {
  const double start = Now();
  for (int sequence = 0; sequence < num_sequences; ++sequence) {
    for (int done = 0; done < count; done += step_tokens_) {
      RunStep({sequence}, context + done, std::min(step_tokens_, count - done));
    }
  }
  return Now() - start;
}

double BenchRunner::Decode(int num_sequences, int context, int count) {
  std::vector<int> sequences(static_cast<size_t>(num_sequences));
  for (int i = 0; i < num_sequences; ++i) sequences[static_cast<size_t>(i)] = i;
  const double start = Now();
  for (int i = 0; i < count; ++i) RunStep(sequences, context + i, 1);
  return Now() - start;
}

}  // namespace millrace
