// TestModel: runs a Model directly, without scheduler or runner, on one sequence at a time. For tests only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/rope/rope.h"
#include "models/model.h"

namespace millrace {

class TestModel {
 public:
  static Result<std::unique_ptr<TestModel>> Open(std::shared_ptr<const Checkpoint> checkpoint, DType kv_dtype,
                                                 int num_threads, int max_model_len = 0) {
    ASSIGN_OR_RETURN(const kernels::OpTable* ops, kernels::CpuOpTable());
    return Open(*ops, std::move(checkpoint), kv_dtype, num_threads, max_model_len);
  }
  // On any table whose device reads host memory.
  static Result<std::unique_ptr<TestModel>> Open(const kernels::OpTable& ops,
                                                 std::shared_ptr<const Checkpoint> checkpoint, DType kv_dtype,
                                                 int num_threads, int max_model_len = 0) {
    std::unique_ptr<TestModel> test(new TestModel(ops, std::move(checkpoint), kv_dtype, num_threads));
    test->state_.assign(static_cast<size_t>(ops.state_bytes), std::byte{0});
    test->context_.state = test->state_.data();
    test->context_.pool = &test->pool_;
    test->context_.workspace = &test->workspace_;
    ASSIGN_OR_RETURN(test->model_, LoadModel(*test->checkpoint_, ops, test->context_, {max_model_len, kv_dtype}));
    ASSIGN_OR_RETURN(Buffer scratch, Buffer::Allocate(64 << 20));
    test->workspace_ = Workspace(std::move(scratch));
    test->block_bytes_ = PoolBlockBytes(test->model_->kv_groups());
    ASSIGN_OR_RETURN(test->kv_, Buffer::Allocate(kBlocks * test->block_bytes_));
    return test;
  }

  const Model& model() const { return *model_; }
  // Runs tokens [context_len, context_len + tokens.size()) of the sequence and returns the logits of each, [T][V]. When
  // `hidden` is given it receives the residual stream after every block, [blocks][T * H].
  std::vector<std::vector<float>> Run(const std::vector<int32_t>& tokens, int context_len,
                                      std::vector<std::vector<float>>* hidden = nullptr) {
    const int count = static_cast<int>(tokens.size());
    Batch batch = OneRow(tokens, context_len);
    Workspace::Scope scope(workspace_);
    Step step{ops_, context_};
    step.num_tokens = count;
    step.token_ids = batch.token_ids.data();
    step.positions = batch.positions.data();
    step.batch = &batch;
    step.kv_blocks = kv_.data();
    step.kv_block_bytes = block_bytes_;
    step.kv_dtype = kv_dtype_;
    std::vector<kernels::AttentionBatch> host_rows;
    host_rows.reserve(batch.groups.size());
    for (const GroupTables& tables : batch.groups) {
      step.groups.push_back({1, count, batch.query_start.data(), batch.context_len.data(), batch.positions.data(),
                             nullptr, tables.row_start.data(), tables.block_ids.data()});
      host_rows.push_back(step.groups.back());
      step.groups.back().host = &host_rows.back();
    }
    for (const auto& variant : model_->rope_variants()) {
      const int half = static_cast<int>(variant.inv_freq.size());
      float* cos_sin = workspace_.Take<float>(count * half * 2);
      kernels::FillCosSin(variant.inv_freq.data(), half, variant.attention_factor, step.positions, count, cos_sin);
      step.cos_sin.push_back(cos_sin);
    }
    const int64_t hidden_size = model_->config().hidden_size, vocab = model_->config().vocab_size;
    const std::function<void(int, const float*)> observer = [&](int, const float* x) {
      hidden->emplace_back(x, x + count * hidden_size);
    };
    if (hidden != nullptr) step.observer = &observer;
    float* x = workspace_.Take<float>(count * hidden_size);
    model_->Forward(step, x);
    float* logits = workspace_.Take<float>(count * vocab);
    model_->Logits(context_, x, count, logits);
    std::vector<std::vector<float>> out;
    for (int t = 0; t < count; ++t) out.emplace_back(logits + t * vocab, logits + (t + 1) * vocab);
    return out;
  }

 private:
  static constexpr int kBlocks = 256;

  TestModel(const kernels::OpTable& ops, std::shared_ptr<const Checkpoint> checkpoint, DType kv_dtype, int num_threads)
      : ops_(ops), checkpoint_(std::move(checkpoint)), kv_dtype_(kv_dtype), pool_(num_threads) {}

  // One row whose groups use disjoint runs of blocks.
  Batch OneRow(const std::vector<int32_t>& tokens, int context_len) const {
    Batch batch;
    batch.sequences = {1};
    batch.query_start = {0, static_cast<int32_t>(tokens.size())};
    batch.context_len = {context_len};
    batch.adapter_index = {0};
    batch.token_ids = tokens;
    for (size_t i = 0; i < tokens.size(); ++i) batch.positions.push_back(context_len + static_cast<int32_t>(i));
    const int blocks_per_group = kBlocks / static_cast<int>(model_->kv_groups().size());
    const int needed = (context_len + static_cast<int>(tokens.size()) + kKvBlockTokens - 1) / kKvBlockTokens;
    int first = 0;
    for (const KvGroupSpec& group : model_->kv_groups()) {
      GroupTables tables;
      if (group.kind == KvGroupKind::kRecurrent) {
        const int state = BlocksPerState(group, block_bytes_);
        for (int i = 0; i < state; ++i) tables.block_ids.push_back(context_len == 0 ? kNullBlock : first + i);
        for (int i = 0; i < state; ++i) tables.block_ids.push_back(first + i);
      } else {
        for (int i = 0; i < needed; ++i) tables.block_ids.push_back(first + i);
      }
      tables.row_start = {0, static_cast<int32_t>(tables.block_ids.size())};
      batch.groups.push_back(tables);
      first += blocks_per_group;
    }
    return batch;
  }

  const kernels::OpTable& ops_;
  const std::shared_ptr<const Checkpoint> checkpoint_;
  const DType kv_dtype_;
  ThreadPool pool_;
  Workspace workspace_;
  std::vector<std::byte> state_;
  kernels::OpContext context_;
  std::unique_ptr<Model> model_;
  int64_t block_bytes_ = 0;
  Buffer kv_;
};

}  // namespace millrace
