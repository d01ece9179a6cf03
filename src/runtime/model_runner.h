// ModelRunner: executes Batches on one rank. Owns the packed weights, the KV memory, the workspace, the sampler and the
// thread that runs steps; allocates nothing after Create.
//
// Invariants:
//   1. Steps run in the order of Submit, one at a time: on the runner's own thread, or, when waking it would cost more
//   than running beside it
//      gains, on the thread that waits for them.
//   2. At most kMaxStepsInFlight steps are submitted and not waited for.
//   3. A step touches KV blocks only through its own tables and copies.
//   4. An exception in a step ends in its StepResult::error, one in the sampling of a row in that row's error; neither
//   leaves the thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "core/batch.h"
#include "models/model.h"
#include "runtime/decode_graphs.h"
#include "runtime/pooler.h"
#include "runtime/step_inputs.h"
#include "runtime/step_observer.h"
#include "sampling/sampler.h"
#include "tensor/page_populator.h"

namespace millrace {

// Which steps are too short to be worth waking threads for, by their work: tokens times the bytes of the model's
// weights. No bit depends on it. Measured behind the server with 3.4 M parameters in Q8_0 on 2 cores,
// docs/design/0008-short-steps.md.
struct ShortSteps {
  int64_t one_thread_below_bytes = 8 << 20;  // the pool's other threads are left asleep
  int64_t waiter_below_bytes = 48 << 20;     // the runner's thread too: the step runs in Wait
};

struct RunnerOptions {
  std::string device = "cpu";        // kernels/plugin.h
  int num_threads = 0;               // 0: every usable core
  int max_model_len = 0;             // 0: the model's own
  int max_num_batched_tokens = 512;  // tokens of one step at most
  int max_num_seqs = 64;             // rows of one step at most
  DType kv_cache_dtype = DType::kBF16;
  ShortSteps short_steps;
  int64_t populate_kv_bytes =
      0;  // of the KV memory, taken from the system in the background after AllocateKv, with the workspace; 0: nothing
  bool enforce_eager = false;  // on a GPU: launch every kernel of a decode step, never replay a recording
  std::function<void(double fraction)> on_load_progress;  // see ModelOptions::on_progress
  StepObserver* observer = nullptr;                       // outlives the runner
};

// Where the time of the runner's thread went since it started.
struct RunnerTimes {
  int64_t num_steps = 0;
  int64_t step_us = 0;      // whole steps
  int64_t model_us = 0;     // of it, in the model: layers and logits
  int64_t num_replays = 0;  // steps that replayed a recording (DecodeGraphs)
};

class ModelRunner {
 public:
  static constexpr int kMaxStepsInFlight = 2;

  // Packs the weights. The KV memory is set up by AllocateKv, once the caller has decided how much of it there is.
  static Result<std::unique_ptr<ModelRunner>> Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                     const RunnerOptions& options, std::vector<TokenId> end_ids);
  ~ModelRunner();
  ModelRunner(const ModelRunner&) = delete;
  ModelRunner& operator=(const ModelRunner&) = delete;

  // On a device that was opened already.
  static Result<std::unique_ptr<ModelRunner>> Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                     const kernels::OpTable& ops, const RunnerOptions& options,
                                                     std::vector<TokenId> end_ids);

  const Model& model() const { return *model_; }
  // What the model runs on; with "auto" also why it is not a GPU.
  const std::string& device_description() const { return device_description_; }
  const kernels::OpTable& ops() const { return ops_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  int num_threads() const { return pool_.size(); }
  int64_t block_bytes() const { return block_bytes_; }
  int64_t workspace_bytes() const { return workspace_.size(); }
  int max_model_len() const { return max_model_len_; }

  // Reserves memory for num_blocks KV blocks, and num_host_blocks to swap to; called once, before the first Submit.
  Status AllocateKv(int64_t num_blocks, int64_t num_host_blocks = 0);
  int64_t num_kv_blocks() const { return num_kv_blocks_; }
  int64_t num_host_blocks() const { return num_host_blocks_; }
  // The bytes of a block, [block_bytes]; touched by the caller only while no step is in flight.
  std::byte* KvBlock(BlockId block) { return kv_.data() + block * block_bytes_; }

  // A handle to a submitted step. Wait blocks until it ran and gives its result; called exactly once.
  class Pending {
   public:
    StepResult Wait();

   private:
    friend class ModelRunner;
    Pending(ModelRunner* runner, uint64_t ticket) : runner_(runner), ticket_(ticket) {}
    ModelRunner* runner_;
    uint64_t ticket_;
  };
  Pending Submit(Batch batch);
  // Token bitmasks of a submitted step with num_grammar_masks > 0: mask i is words [i * words_per_mask, (i + 1) *
  // words_per_mask). May come while the step runs; sampling waits for it.
  void SetMasks(uint64_t step_id, std::vector<uint32_t> masks);

  // Wall time of the last finished step, in microseconds.
  int64_t last_step_us() const { return last_step_us_.load(std::memory_order_relaxed); }
  RunnerTimes times() const;

 private:
  ModelRunner(std::shared_ptr<const Checkpoint> checkpoint, const kernels::OpTable& ops, const RunnerOptions& options,
              std::vector<TokenId> end_ids);
  Status Load();
  Status AllocateStepMemory();
  void ThreadLoop();
  StepResult Execute(const Batch& batch);
  void RunStep(const Batch& batch, StepResult* result);
  StepResult ExecuteOrFail(const Batch& batch);
  int64_t WorkBytes(const Batch& batch) const;
  bool IsForWaiter(const Batch& batch) const;
  void RunStep(const Batch& batch);
  void RunIfForWaiter(uint64_t ticket);
  void CopyBlocks(const std::vector<BlockCopy>& copies);
  void ResolveTokens(const Batch& batch);
  void FillStep(const Batch& batch, Step* step);
  void FillAngles(const std::vector<int32_t>& positions, Step* step);
  // A whole decode step that the device draws the tokens of; false, and nothing done, when this step is none.
  bool RunDecode(const Batch& batch, StepResult* result);
  void PlaceDecode(const Batch& batch, const DecodeShape& shape, Step* step);
  void LaunchDecode(const Step& step, const kernels::SampleRow* draws);
  // What the device needs to draw an output; nullopt when it can't.
  std::optional<kernels::SampleRow> PlanDraw(const Batch& batch, int output) const;
  // Lets the device draw `count` outputs (at most logit_rows_) when it can do all of them; false when their logits are
  // needed here.
  bool DrawOnDevice(const Batch& batch, int first, int count, const float* logits, StepResult* result);
  // The same rows in host memory, where the sampler may change them.
  float* FetchLogits(const float* logits, int64_t count);
  // Waits for the device; false once anything went wrong there, and then every step fails with device_error_.
  bool AwaitDevice();
  // Device memory copied to `copy`; on the CPU the values themselves. Null stays null.
  const float* OnHost(const float* values, int64_t count, std::vector<float>* copy);
  std::vector<uint32_t> AwaitMasks(const Batch& batch);
  void RunPooling(const Batch& batch, const float* x, StepResult* result);
  void RunOutputs(const Batch& batch, const float* x, std::span<const uint32_t> masks, StepResult* result);
  void RunOutputRow(const Batch& batch, int output, std::span<float> logits, std::span<const uint32_t> masks,
                    OutputResult* result);

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const kernels::OpTable& ops_;
  const RunnerOptions options_;
  int max_model_len_ = 0;
  ThreadPool pool_;
  Workspace workspace_;
  std::span<std::byte> workspace_memory_;
  kernels::OpContext context_;
  std::unique_ptr<Model> model_;
  Sampler sampler_;
  std::unique_ptr<Pooler> pooler_;
  // Logits are made and sampled this many rows at a time, which bounds their memory for prompt logprobs and perplexity.
  int logit_rows_ = 32;
  int64_t block_bytes_ = 0;
  int64_t num_kv_blocks_ = 0;
  int64_t num_host_blocks_ = 0;
  Buffer kv_, host_kv_;
  std::unique_ptr<PagePopulator> populator_;  // ends before the memory that it populates
  StepResult last_result_;                    // for token ids that refer to the step before
  std::vector<int32_t> token_ids_;            // of the running step, resolved
  // Devices with their own memory.
  std::string device_description_;
  std::string device_error_;
  void* stream_ = nullptr;
  Buffer state_;
  StepInputs inputs_;
  std::vector<float> host_norm_weight_, host_norm_bias_, host_x_;  // for pooling
  std::vector<float> angles_;                                      // cos_sin of the running step
  std::vector<kernels::AttentionBatch> host_rows_;                 // by KV group, of the running step
  void* pinned_ = nullptr;                // logit_rows_ rows of logits, or the tokens of a step
  std::unique_ptr<DecodeGraphs> graphs_;  // null: decode steps are as others
  // Of the running decode step, as long as its shape says.
  std::vector<int32_t> padded_, decode_starts_, decode_contexts_;
  std::vector<kernels::SampleRow> draws_;
  std::atomic<int64_t> last_step_us_{0}, total_step_us_{0}, total_model_us_{0}, total_replays_{0};

  // Hand-over between Submit, the thread and Wait.
  std::mutex mutex_;
  std::condition_variable work_ready_;
  struct QueuedStep {
    Batch batch;
    uint64_t ticket;
    bool for_waiter;  // runs in Wait
  };
  std::vector<QueuedStep> queue_;
  std::vector<StepResult> done_;
  std::condition_variable masks_ready_;
  std::map<uint64_t, std::vector<uint32_t>> masks_;  // by step
  uint64_t submitted_ = 0;
  uint64_t collected_ = 0;
  std::atomic<uint64_t> completed_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace
