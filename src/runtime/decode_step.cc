// Decode steps on a device that draws by itself: padded to a shape, placed at that shape's addresses, launched or
// replayed.
#include <algorithm>
#include <numeric>

#include "runtime/model_runner.h"

namespace millrace {

std::optional<kernels::SampleRow> ModelRunner::PlanDraw(const Batch& batch, int output) const {
  const OutputRow& row = batch.outputs[static_cast<size_t>(output)];
  if (ops_.sample == nullptr || !row.sample || row.grammar_mask >= 0 || row.pooling != Pooling::kNone)
    return std::nullopt;
  const std::optional<DeviceDraw> draw = sampler_.PlanDeviceDraw(batch.sequences[static_cast<size_t>(row.row)]);
  if (!draw) return std::nullopt;
  return kernels::SampleRow{draw->params->seed,  draw->choice_index,  row.output_position, draw->params->temperature,
                            draw->params->top_k, draw->params->top_p, draw->params->min_p};
}

// Everything that a kernel or the choice of one depends on besides the arrays' contents comes from `shape`, so that a
// recording of this step does for every step of the shape. On the host rows are as long as the shape allows: attention
// cuts its work by that.
void ModelRunner::PlaceDecode(const Batch& batch, const DecodeShape& shape, Step* step) {
  const auto rows = static_cast<size_t>(shape.rows);
  const auto place = [&](const std::vector<int32_t>& values, size_t count, int32_t filler) {
    padded_ = values;
    padded_.resize(count, filler);
    return inputs_.Place(padded_.data(), static_cast<int64_t>(count));
  };
  inputs_.Reset();
  host_rows_.clear();
  decode_starts_.resize(rows + 1);
  std::iota(decode_starts_.begin(), decode_starts_.end(), 0);
  decode_contexts_.assign(rows, shape.slots - 1);
  step->num_tokens = shape.rows;
  step->token_ids = place(token_ids_, rows, 0);
  step->positions = place(batch.positions, rows, 0);
  const int32_t* query_start = inputs_.Place(decode_starts_.data(), shape.rows + 1);
  const int32_t* context_len = place(batch.context_len, rows, 0);
  step->batch = &batch;
  step->kv_blocks = kv_.data();
  step->kv_block_bytes = block_bytes_;
  step->kv_dtype = options_.kv_cache_dtype;
  padded_ = batch.positions;
  padded_.resize(rows, 0);
  FillAngles(padded_, step);
  for (const GroupTables& tables : batch.groups) {
    const auto num_ids = static_cast<int32_t>(tables.block_ids.size());
    kernels::AttentionBatch group;
    group.num_rows = group.num_tokens = shape.rows;
    group.query_start = query_start;
    group.context_len = context_len;
    group.positions = step->positions;
    group.table_start = place(tables.row_start, rows + 1, num_ids);
    padded_ = tables.block_ids;
    padded_.push_back(-1);  // the table of the rows that are made up
    group.block_ids = inputs_.Place(padded_.data(), num_ids + 1, shape.NumBlockIds());
    host_rows_.push_back({.num_rows = shape.rows,
                          .num_tokens = shape.rows,
                          .query_start = decode_starts_.data(),
                          .context_len = decode_contexts_.data()});
    group.host = &host_rows_.back();
    step->groups.push_back(group);
  }
}

void ModelRunner::LaunchDecode(const Step& step, const kernels::SampleRow* draws) {
  Workspace::Scope scope(workspace_);
  const int64_t rows = step.num_tokens, hidden = model_->config().hidden_size, vocab = model_->config().vocab_size;
  auto* tokens = workspace_.Take<int32_t>(rows);
  float* x = workspace_.Take<float>(rows * hidden);
  model_->Forward(step, x);
  for (int64_t first = 0; first < rows; first += logit_rows_) {
    const int64_t count = std::min<int64_t>(logit_rows_, rows - first);
    Workspace::Scope piece(workspace_);
    float* logits = workspace_.Take<float>(count * vocab);
    model_->Logits(context_, x + first * hidden, count, logits);
    const kernels::SampleArgs args{logits, draws + first, vocab, count, tokens + first};
    ops_.sample(&context_, &args);
  }
  ops_.memory->copy(stream_, pinned_, tokens, rows * static_cast<int64_t>(sizeof(int32_t)));
}

bool ModelRunner::RunDecode(const Batch& batch, StepResult* result) {
  if (graphs_ == nullptr) return false;
  const std::optional<DecodeShape> shape = DecodeShapeOf(batch, max_model_len_);
  if (!shape || shape->rows > options_.max_num_batched_tokens) return false;
  draws_.assign(static_cast<size_t>(shape->rows), {});
  for (int i = 0; i < batch.num_rows(); ++i) {
    const std::optional<kernels::SampleRow> draw = PlanDraw(batch, i);
    if (!draw) return false;
    draws_[static_cast<size_t>(i)] = *draw;
  }
  CHECK_EQ(workspace_.used(), 0);
  Step step{ops_, context_};
  PlaceDecode(batch, *shape, &step);
  const kernels::SampleRow* draws = inputs_.Place(draws_.data(), shape->rows);
  inputs_.Flush(stream_);
  graphs_->Run(*shape, stream_, [&] { LaunchDecode(step, draws); });
  total_replays_.store(graphs_->num_replays(), std::memory_order_relaxed);
  if (!AwaitDevice()) return true;
  for (int i = 0; i < batch.num_rows(); ++i) {
    result->outputs[static_cast<size_t>(i)] =
        sampler_.AcceptDeviceDraw(batch.sequences[static_cast<size_t>(i)], static_cast<const int32_t*>(pinned_)[i]);
  }
  return true;
}

}  // namespace millrace
