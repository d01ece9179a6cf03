#include "runtime/model_runner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>

#include "base/backoff.h"
#include "kernels/attention/tree_tail.h"
#include "kernels/plugin.h"
#include "kernels/rope/rope.h"

namespace millrace {
namespace {

constexpr int kMaxLogitRows = 128;  // of a device, which reads the head's weights anew for every piece

int64_t MicrosecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
}

// Draft trees deeper than the kernels take, or with a parent after its child. Empty: none.
std::string DescribeTreeError(const Batch& batch) {
  std::vector<int> depth(batch.parent.size());
  for (int row = 0; row < batch.num_rows() && !batch.parent.empty(); ++row) {
    const int first = batch.query_start[static_cast<size_t>(row)];
    for (int i = first; i < batch.query_start[static_cast<size_t>(row) + 1]; ++i) {
      const int parent = batch.parent[static_cast<size_t>(i)];
      if (parent >= i - first) return "a draft tree has a parent that is not before its child";
      depth[static_cast<size_t>(i)] = parent < 0 ? 1 : depth[static_cast<size_t>(first + parent)] + 1;
      if (depth[static_cast<size_t>(i)] > kernels::kMaxTreeDepth) {
        return fmt::format("a draft tree is deeper than {} tokens", kernels::kMaxTreeDepth);
      }
    }
  }
  return "";
}

int64_t Floats(int64_t count) {
  return count * static_cast<int64_t>(sizeof(float)) + 64;
}

}  // namespace

ModelRunner::ModelRunner(std::shared_ptr<const Checkpoint> checkpoint, const kernels::OpTable& ops,
                         const RunnerOptions& options, std::vector<TokenId> end_ids)
    : checkpoint_(std::move(checkpoint)),
      ops_(ops),
      options_(options),
      pool_(options.num_threads > 0 ? options.num_threads : NumUsableCores()),
      sampler_(checkpoint_->config().vocab_size, std::move(end_ids)) {}

Result<std::unique_ptr<ModelRunner>> ModelRunner::Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                         const RunnerOptions& options, std::vector<TokenId> end_ids) {
  ASSIGN_OR_RETURN(const kernels::OpenedDevice device, kernels::OpenDevice(options.device));
  ASSIGN_OR_RETURN(std::unique_ptr<ModelRunner> runner,
                   Create(std::move(checkpoint), *device.table, options, std::move(end_ids)));
  runner->device_description_ = device.description;
  return runner;
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                         const kernels::OpTable& ops, const RunnerOptions& options,
                                                         std::vector<TokenId> end_ids) {
  std::unique_ptr<ModelRunner> runner(new ModelRunner(std::move(checkpoint), ops, options, std::move(end_ids)));
  RETURN_IF_ERROR(runner->Load());
  return runner;
}

Status ModelRunner::Load() {
  const ModelConfig& config = checkpoint_->config();
  max_model_len_ = options_.max_model_len > 0 ? options_.max_model_len : config.max_position_embeddings;
  context_.pool = &pool_;
  context_.workspace = &workspace_;
  if (ops_.memory != nullptr) context_.stream = stream_ = ops_.memory->create_stream();
  ASSIGN_OR_RETURN(model_, LoadModel(*checkpoint_, ops_, context_,
                                     {max_model_len_, options_.kv_cache_dtype, options_.on_load_progress}));
  block_bytes_ = PoolBlockBytes(model_->kv_groups());
  RETURN_IF_ERROR(AllocateStepMemory());
  kernels::Norm norm = model_->final_norm();
  norm.weight = OnHost(norm.weight, config.hidden_size, &host_norm_weight_);
  norm.bias = OnHost(norm.bias, config.hidden_size, &host_norm_bias_);
  pooler_ = std::make_unique<Pooler>(config.hidden_size, norm);
  return OkStatus();
}

Status ModelRunner::AllocateStepMemory() {
  const ModelConfig& config = checkpoint_->config();
  const int64_t tokens = options_.max_num_batched_tokens, rows = options_.max_num_seqs;
  if (ops_.memory != nullptr) logit_rows_ = static_cast<int>(std::clamp<int64_t>(rows, logit_rows_, kMaxLogitRows));
  int64_t angles = 0;
  for (const auto& variant : model_->rope_variants()) angles += 2 * static_cast<int64_t>(variant.inv_freq.size());
  int64_t bytes = model_->WorkspaceBytes(tokens, options_.max_num_seqs) + Floats(tokens * config.hidden_size);
  bytes += Floats(tokens * angles) + 64 * static_cast<int64_t>(model_->rope_variants().size());
  bytes += Floats(logit_rows_ * int64_t{config.vocab_size}) + Floats(logit_rows_ * int64_t{config.hidden_size}) +
           Floats(std::max(rows, tokens));
  ASSIGN_OR_RETURN(Buffer buffer, Buffer::Allocate(bytes, ops_.memory));
  workspace_memory_ = {buffer.data(), static_cast<size_t>(buffer.size())};
  workspace_ = Workspace(std::move(buffer));
  token_ids_.reserve(static_cast<size_t>(tokens));
  if (ops_.memory == nullptr) return OkStatus();

  const int64_t groups = static_cast<int64_t>(model_->kv_groups().size());
  const int64_t padded_rows = PaddedRows(options_.max_num_seqs);
  const int64_t blocks_per_row = max_model_len_ / kKvBlockTokens + 2;
  const int64_t arrays =
      4 * tokens + 4 * (padded_rows + 1) + groups * (padded_rows + 2 + padded_rows * blocks_per_row) + tokens * angles;
  const int64_t draws = (tokens + padded_rows) * static_cast<int64_t>(sizeof(kernels::SampleRow) + sizeof(int32_t));
  const int64_t outputs = (tokens + rows) / logit_rows_ + 2;  // pieces of outputs at most
  ASSIGN_OR_RETURN(inputs_,
                   StepInputs::Create(ops_.memory, arrays * 4 + draws + outputs * 128 + 64 * (8 + 4 * groups)));
  ASSIGN_OR_RETURN(state_, Buffer::Allocate(ops_.state_bytes, ops_.memory));
  ops_.memory->clear(stream_, state_.data(), state_.size());
  context_.state = state_.data();
  const int64_t pinned_bytes = logit_rows_ * int64_t{config.vocab_size} * static_cast<int64_t>(sizeof(float));
  pinned_ = ops_.memory->allocate_pinned(pinned_bytes);
  if (pinned_ == nullptr) return ResourceExhausted("cannot pin {} bytes of host memory for the GPU", pinned_bytes);
  host_rows_.reserve(static_cast<size_t>(groups));
  if (ops_.memory->begin_recording != nullptr && !options_.enforce_eager)
    graphs_ = std::make_unique<DecodeGraphs>(*ops_.memory);
  if (!AwaitDevice()) return Unavailable("{}", device_error_);
  return OkStatus();
}

Status ModelRunner::AllocateKv(int64_t num_blocks, int64_t num_host_blocks) {
  CHECK(num_kv_blocks_ == 0 && num_blocks > 0);
  ASSIGN_OR_RETURN(kv_, Buffer::Allocate(num_blocks * block_bytes_, ops_.memory));
  ASSIGN_OR_RETURN(host_kv_, Buffer::Allocate(num_host_blocks * block_bytes_));
  if (options_.populate_kv_bytes > 0 && ops_.memory == nullptr) {
    const int64_t populated = std::min(kv_.size(), options_.populate_kv_bytes);
    populator_ = std::make_unique<PagePopulator>(
        std::vector<std::span<std::byte>>{workspace_memory_, {kv_.data(), static_cast<size_t>(populated)}});
  }
  num_host_blocks_ = num_host_blocks;
  num_kv_blocks_ = num_blocks;
  thread_ = std::thread([this] { ThreadLoop(); });
  return OkStatus();
}

ModelRunner::~ModelRunner() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_ready_.notify_all();
  masks_ready_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (ops_.memory == nullptr) return;
  graphs_.reset();
  if (pinned_ != nullptr) ops_.memory->release_pinned(pinned_);
  if (stream_ != nullptr) ops_.memory->destroy_stream(stream_);
}

// Masks may come later than Wait, and a GPU's runtime is bound to threads.
bool ModelRunner::IsForWaiter(const Batch& batch) const {
  return ops_.memory == nullptr && batch.num_grammar_masks == 0 &&
         WorkBytes(batch) < options_.short_steps.waiter_below_bytes;
}

ModelRunner::Pending ModelRunner::Submit(Batch batch) {
  CHECK(num_kv_blocks_ > 0, "AllocateKv comes before Submit");
  DCHECK(DescribeBatchError(batch).empty(), "{}", DescribeBatchError(batch));
  uint64_t ticket;
  bool notify;
  {
    std::lock_guard lock(mutex_);
    CHECK(submitted_ - collected_ < kMaxStepsInFlight, "{} steps are in flight", submitted_ - collected_);
    const bool for_waiter = IsForWaiter(batch);
    ticket = ++submitted_;
    queue_.push_back({std::move(batch), ticket, for_waiter});
    notify = !for_waiter;
  }
  if (notify) work_ready_.notify_one();
  return Pending(this, ticket);
}

void ModelRunner::SetMasks(uint64_t step_id, std::vector<uint32_t> masks) {
  {
    std::lock_guard lock(mutex_);
    masks_.erase(masks_.begin(), masks_.lower_bound(step_id));  // of steps that failed before they wanted them
    masks_[step_id] = std::move(masks);
  }
  masks_ready_.notify_one();
}

std::vector<uint32_t> ModelRunner::AwaitMasks(const Batch& batch) {
  if (batch.num_grammar_masks == 0) return {};
  std::unique_lock lock(mutex_);
  masks_ready_.wait(lock, [&] { return stopping_ || masks_.contains(batch.step_id); });
  auto node = masks_.extract(batch.step_id);
  return node.empty() ? std::vector<uint32_t>() : std::move(node.mapped());
}

void ModelRunner::RunIfForWaiter(uint64_t ticket) {
  Batch batch;
  {
    std::lock_guard lock(mutex_);
    if (queue_.empty() || queue_.front().ticket != ticket || !queue_.front().for_waiter) return;
    batch = std::move(queue_.front().batch);
    queue_.erase(queue_.begin());
  }
  RunStep(batch);
  work_ready_.notify_one();  // the step behind it may be the thread's
}

StepResult ModelRunner::Pending::Wait() {
  ModelRunner& r = *runner_;
  r.RunIfForWaiter(ticket_);
  uint64_t completed;
  Backoff backoff;
  while ((completed = r.completed_.load(std::memory_order_acquire)) < ticket_) {
    if (!backoff.Wait()) r.completed_.wait(completed, std::memory_order_acquire);
  }
  std::lock_guard lock(r.mutex_);
  CHECK(ticket_ == r.collected_ + 1 && !r.done_.empty(), "steps are waited for in order, once");
  StepResult result = std::move(r.done_.front());
  r.done_.erase(r.done_.begin());
  ++r.collected_;
  return result;
}

void ModelRunner::ThreadLoop() {
  while (true) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      work_ready_.wait(lock, [this] {
        return stopping_ ||
               (!queue_.empty() && !queue_.front().for_waiter && completed_.load() + 1 == queue_.front().ticket);
      });
      if (queue_.empty()) return;
      batch = std::move(queue_.front().batch);
      queue_.erase(queue_.begin());
    }
    RunStep(batch);
  }
}

void ModelRunner::RunStep(const Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  StepResult result = ExecuteOrFail(batch);
  const int64_t step_us = MicrosecondsSince(start);
  last_step_us_.store(step_us, std::memory_order_relaxed);
  total_step_us_.fetch_add(step_us, std::memory_order_relaxed);
  if (options_.observer != nullptr) options_.observer->AfterStep(batch, step_us);
  {
    std::lock_guard lock(mutex_);
    done_.push_back(std::move(result));
    completed_.fetch_add(1, std::memory_order_release);
  }
  completed_.notify_all();
}

void ModelRunner::ResolveTokens(const Batch& batch) {
  token_ids_.clear();
  for (const int32_t id : batch.token_ids) {
    if (id >= 0) {
      token_ids_.push_back(id);
      continue;
    }
    const OutputResult& source = last_result_.outputs[static_cast<size_t>(-1 - id)];
    token_ids_.push_back(source.failed ? 0 : source.token);  // a failed sequence ends at Commit; its row is thrown away
  }
}

void ModelRunner::FillStep(const Batch& batch, Step* step) {
  inputs_.Reset();
  host_rows_.clear();
  const auto place = [&](const std::vector<int32_t>& values) {
    return inputs_.Place(values.data(), static_cast<int64_t>(values.size()));
  };
  step->num_tokens = batch.num_tokens();
  step->token_ids = place(token_ids_);
  step->positions = place(batch.positions);
  const int32_t* query_start = place(batch.query_start);
  const int32_t* context_len = place(batch.context_len);
  const int32_t* parent = batch.parent.empty() ? nullptr : place(batch.parent);
  step->batch = &batch;
  step->kv_blocks = kv_.data();
  step->kv_block_bytes = block_bytes_;
  step->kv_dtype = options_.kv_cache_dtype;
  for (const GroupTables& tables : batch.groups) {
    kernels::AttentionBatch rows;
    rows.num_rows = batch.num_rows();
    rows.num_tokens = batch.num_tokens();
    rows.query_start = query_start;
    rows.context_len = context_len;
    rows.positions = step->positions;
    rows.parent = parent;
    rows.table_start = place(tables.row_start);
    rows.block_ids = place(tables.block_ids);
    if (ops_.memory != nullptr) {
      host_rows_.push_back({rows.num_rows, rows.num_tokens, batch.query_start.data(), batch.context_len.data(),
                            batch.positions.data(), batch.parent.empty() ? nullptr : batch.parent.data(),
                            tables.row_start.data(), tables.block_ids.data(), nullptr});
      rows.host = &host_rows_.back();
    }
    step->groups.push_back(rows);
  }
  FillAngles(batch.positions, step);
  inputs_.Flush(stream_);
}

void ModelRunner::FillAngles(const std::vector<int32_t>& positions, Step* step) {
  for (const Model::RopeVariant& variant : model_->rope_variants()) {
    const int half = static_cast<int>(variant.inv_freq.size());
    const int64_t count = step->num_tokens * half * 2;
    float* cos_sin = nullptr;
    if (ops_.memory == nullptr) {
      cos_sin = workspace_.Take<float>(count);
    } else {
      angles_.resize(static_cast<size_t>(count));
      cos_sin = angles_.data();
    }
    kernels::FillCosSin(variant.inv_freq.data(), half, variant.attention_factor, positions.data(), step->num_tokens,
                        cos_sin);
    step->cos_sin.push_back(inputs_.Place(cos_sin, count));
  }
}

// In order: a block may be the target of one copy and the source of the next. Whole blocks are copied; slots beyond
// num_tokens are never read before they are written.
void ModelRunner::CopyBlocks(const std::vector<BlockCopy>& copies) {
  const auto copy_block = [&](std::byte* to, const std::byte* from) {
    if (ops_.memory != nullptr) {
      ops_.memory->copy(stream_, to, from, block_bytes_);
    } else {
      std::memcpy(to, from, static_cast<size_t>(block_bytes_));
    }
  };
  for (const BlockCopy& copy : copies) {
    if (copy.kind == CopyKind::kDevice) {
      ops_.copy_blocks(&context_, kv_.data(), block_bytes_, &copy.from, &copy.to, 1);
    } else if (copy.kind == CopyKind::kToHost) {
      copy_block(host_kv_.data() + copy.to * block_bytes_, kv_.data() + copy.from * block_bytes_);
    } else {
      copy_block(kv_.data() + copy.to * block_bytes_, host_kv_.data() + copy.from * block_bytes_);
    }
  }
}

RunnerTimes ModelRunner::times() const {
  return {static_cast<int64_t>(completed_.load(std::memory_order_acquire)),
          total_step_us_.load(std::memory_order_relaxed), total_model_us_.load(std::memory_order_relaxed),
          total_replays_.load(std::memory_order_relaxed)};
}

StepResult ModelRunner::ExecuteOrFail(const Batch& batch) {
  std::string error = DescribeTreeError(batch);
  try {
    if (error.empty()) return Execute(batch);
  } catch (const std::exception& exception) {
    error = fmt::format("the step failed: {}", exception.what());
  }
  StepResult result;
  result.step_id = batch.step_id;
  result.error = error;
  result.outputs.assign(batch.outputs.size(), {.failed = true, .error = error});
  last_result_ = result;
  return result;
}

const float* ModelRunner::OnHost(const float* values, int64_t count, std::vector<float>* copy) {
  if (ops_.memory == nullptr || values == nullptr) return values;
  copy->assign(static_cast<size_t>(count), 0.0f);
  ops_.memory->copy(stream_, copy->data(), values, count * static_cast<int64_t>(sizeof(float)));
  AwaitDevice();
  return copy->data();
}

void ModelRunner::RunPooling(const Batch& batch, const float* x, StepResult* result) {
  const auto pooled = [](const OutputRow& output) { return output.pooling != Pooling::kNone; };
  if (!std::any_of(batch.outputs.begin(), batch.outputs.end(), pooled)) return;
  pooler_->Run(batch, OnHost(x, batch.num_tokens() * int64_t{model_->config().hidden_size}, &host_x_), result);
}

int64_t ModelRunner::WorkBytes(const Batch& batch) const {
  return batch.num_tokens() * model_->weight_bytes();
}

void ModelRunner::RunStep(const Batch& batch, StepResult* result) {
  Step step{ops_, context_};
  FillStep(batch, &step);
  float* x = workspace_.Take<float>(step.num_tokens * model_->config().hidden_size);
  const auto start = std::chrono::steady_clock::now();
  model_->Forward(step, x);
  total_model_us_.fetch_add(MicrosecondsSince(start), std::memory_order_relaxed);
  RunPooling(batch, x, result);
  RunOutputs(batch, x, AwaitMasks(batch), result);
}

StepResult ModelRunner::Execute(const Batch& batch) {
  CHECK_LE(batch.num_tokens(), options_.max_num_batched_tokens);
  pool_.set_alone(WorkBytes(batch) < options_.short_steps.one_thread_below_bytes);
  for (const SequenceId sequence : batch.finished) {
    sampler_.Finish(sequence);
    pooler_->Finish(sequence);
  }
  for (const SequenceStart& start : batch.started) sampler_.Start(start);
  CopyBlocks(batch.copies);
  if (options_.observer != nullptr) options_.observer->BeforeStep(batch);
  StepResult result;
  result.step_id = batch.step_id;
  result.outputs.resize(batch.outputs.size());
  if (batch.num_tokens() > 0) {
    Workspace::Scope scope(workspace_);
    ResolveTokens(batch);
    if (!RunDecode(batch, &result)) RunStep(batch, &result);
  }
  if (ops_.memory != nullptr && !AwaitDevice()) {
    for (OutputResult& output : result.outputs) output = {.failed = true, .error = device_error_};
  }
  last_result_ = result;
  return result;
}

namespace {

// Whether an output follows a draft token that was not what its row sampled there: nobody wants it, and the sampler's
// history must not have it.
bool IsSuperseded(const Batch& batch, int output, const StepResult& result) {
  if (output == 0) return false;
  const OutputRow& row = batch.outputs[static_cast<size_t>(output)];
  const OutputRow& before = batch.outputs[static_cast<size_t>(output) - 1];
  if (before.row != row.row || !before.sample || !row.sample) return false;
  const OutputResult& drawn = result.outputs[static_cast<size_t>(output) - 1];
  return drawn.failed || drawn.token != batch.token_ids[static_cast<size_t>(row.token_index)];
}

}  // namespace

bool ModelRunner::AwaitDevice() {
  kernels::ErrorText error;
  if (device_error_.empty() && !ops_.memory->synchronize(stream_, error.text, sizeof(error.text)))
    device_error_ = error.text;
  return device_error_.empty();
}

bool ModelRunner::DrawOnDevice(const Batch& batch, int first, int count, const float* logits, StepResult* result) {
  kernels::SampleRow draws[kMaxLogitRows];
  for (int i = 0; i < count; ++i) {
    const std::optional<kernels::SampleRow> draw = PlanDraw(batch, first + i);
    if (!draw) return false;
    draws[i] = *draw;
  }
  const kernels::SampleRow* rows = inputs_.Place(draws, count);
  inputs_.Flush(stream_);
  Workspace::Scope scope(workspace_);
  int32_t* tokens = workspace_.Take<int32_t>(count);
  const kernels::SampleArgs args{logits, rows, model_->config().vocab_size, count, tokens};
  ops_.sample(&context_, &args);
  ops_.memory->copy(stream_, pinned_, tokens, count * static_cast<int64_t>(sizeof(int32_t)));
  if (!AwaitDevice()) return true;
  for (int i = 0; i < count; ++i) {
    if (IsSuperseded(batch, first + i, *result)) continue;
    const OutputRow& row = batch.outputs[static_cast<size_t>(first + i)];
    result->outputs[static_cast<size_t>(first + i)] =
        sampler_.AcceptDeviceDraw(batch.sequences[static_cast<size_t>(row.row)], static_cast<int32_t*>(pinned_)[i]);
  }
  return true;
}

float* ModelRunner::FetchLogits(const float* logits, int64_t count) {
  ops_.memory->copy(stream_, pinned_, logits, count * static_cast<int64_t>(sizeof(float)));
  if (!AwaitDevice()) std::memset(pinned_, 0, static_cast<size_t>(count) * sizeof(float));
  return static_cast<float*>(pinned_);
}

void ModelRunner::RunOutputs(const Batch& batch, const float* x, std::span<const uint32_t> masks, StepResult* result) {
  const int64_t hidden = model_->config().hidden_size;
  const int64_t vocab = model_->config().vocab_size;
  const int num_outputs = static_cast<int>(batch.outputs.size());
  for (int first = 0; first < num_outputs; first += logit_rows_) {
    const int count = std::min(logit_rows_, num_outputs - first);
    const std::span<const OutputRow> outputs =
        std::span(batch.outputs).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    if (std::all_of(outputs.begin(), outputs.end(),
                    [](const OutputRow& output) { return output.pooling != Pooling::kNone; }))
      continue;
    Workspace::Scope scope(workspace_);
    float* rows = workspace_.Take<float>(count * hidden);
    float* logits = workspace_.Take<float>(count * vocab);
    int32_t indices[kMaxLogitRows];
    for (int i = 0; i < count; ++i) indices[i] = batch.outputs[static_cast<size_t>(first + i)].token_index;
    const kernels::GatherRowsArgs gather{x, hidden, inputs_.Place(indices, count), count, rows};
    inputs_.Flush(stream_);
    ops_.gather_rows(&context_, &gather);
    const auto start = std::chrono::steady_clock::now();
    model_->Logits(context_, rows, count, logits);
    total_model_us_.fetch_add(MicrosecondsSince(start), std::memory_order_relaxed);
    if (DrawOnDevice(batch, first, count, logits, result)) continue;
    if (ops_.memory != nullptr) logits = FetchLogits(logits, count * vocab);
    // Outputs of one row belong to one sequence and are drawn in order; rows are independent.
    std::vector<int> group_start;
    for (int i = 0; i < count; ++i) {
      const size_t o = static_cast<size_t>(first + i);
      if (i == 0 || batch.outputs[o].row != batch.outputs[o - 1].row) group_start.push_back(i);
    }
    group_start.push_back(count);
    pool_.ParallelFor(static_cast<int64_t>(group_start.size()) - 1, 1, [&](int64_t group, int64_t) {
      for (int i = group_start[static_cast<size_t>(group)]; i < group_start[static_cast<size_t>(group) + 1]; ++i) {
        if (IsSuperseded(batch, first + i, *result)) continue;
        OutputResult& output = result->outputs[static_cast<size_t>(first + i)];
        try {
          RunOutputRow(batch, first + i, {logits + i * vocab, static_cast<size_t>(vocab)}, masks, &output);
        } catch (const std::exception& exception) {
          output = {.failed = true, .error = fmt::format("sampling failed: {}", exception.what())};
        }
      }
    });
  }
}

void ModelRunner::RunOutputRow(const Batch& batch, int output, std::span<float> logits, std::span<const uint32_t> masks,
                               OutputResult* result) {
  const OutputRow& row = batch.outputs[static_cast<size_t>(output)];
  if (row.pooling != Pooling::kNone) return;
  if (!row.sample) {
    *result = sampler_.Score(logits, row.target, row.num_logprobs);
    return;
  }
  std::span<const uint32_t> mask;
  if (row.grammar_mask >= 0 && !masks.empty()) {
    const size_t words = masks.size() / static_cast<size_t>(batch.num_grammar_masks);
    mask = masks.subspan(static_cast<size_t>(row.grammar_mask) * words, words);
  }
  *result = sampler_.Sample(batch.sequences[static_cast<size_t>(row.row)], row.output_position, logits, mask);
}

}  // namespace millrace
