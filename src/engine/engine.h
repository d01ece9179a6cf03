// Engine: one model, one scheduler, one runner and the threads between them. README.md in this folder is the contract
// of the loop.
//
// Threads: any thread calls Submit and Abort. The engine thread owns Scheduler and submits steps. The output thread
// detokenizes and calls the sinks. Both queues between them are bounded by the number of sequences admitted.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/request.h"
#include "engine/grammar_masks.h"
#include "engine/kv_file.h"
#include "engine/memory_plan.h"
#include "engine/output_processor.h"
#include "engine/step_work.h"
#include "model_loader/checkpoint.h"
#include "runtime/model_runner.h"
#include "scheduler/scheduler.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

struct EngineOptions {
  std::string model;               // a .gguf file, a folder, or synth:SHAPE:TYPE
  std::string device = "cpu";      // "cpu", "cuda", or "auto": a GPU when there is one
  bool enforce_eager = false;      // on a GPU: launch every kernel of a decode step instead of replaying a recording
  int num_threads = 0;             // 0: every usable core
  int max_model_len = 0;           // 0: the model's, lowered to what memory holds
  int max_num_seqs = 0;            // 0: what the mode says, 64 without one
  int max_num_batched_tokens = 0;  // 0: what the mode says, 512 without one
  int max_num_waiting = 4096;      // sequences that may wait; Submit refuses beyond
  DType kv_cache_dtype = DType::kBF16;
  int64_t kv_cache_bytes = 0;    // 0: decided from the memory available
  int64_t swap_space_bytes = 0;  // host memory for preempted sequences; 0: they are computed again
  bool enable_prefix_caching = true;
  std::string mode;            // scheduler preset: fills what is 0 above and the next; "": none
  int num_forced_tokens = 16;  // jump-forward: tokens forced by a grammar that one step computes at most; 0: off
  int64_t target_inter_token_us = 0;
  std::string scheduling_policy = "fcfs";  // scheduler_config.h has the names of these three
  std::string preemption_policy = "latest";
  std::string batching = "continuous";
  int64_t queue_timeout_us = 0;            // of requests that bring none; 0: none
  double max_tenant_cache_fraction = 1.0;  // of the KV blocks, for what one tenant has cached
  double max_pinned_cache_fraction = 0.5;  // of the KV blocks, for pinned prefixes
  int64_t idle_check_us = 1'000'000;       // after so long without work the KV bookkeeping is recounted
  ShortSteps short_steps;
  StepObserver* observer = nullptr;  // sees every step; outlives the engine
  bool warm_up = false;  // compute something and take the first memory from the system before Open returns or soon
                         // after, not with the first requests
  bool verbose = false;  // tell on standard error what was decided
  std::function<void(double fraction)> on_load_progress;  // called while the weights are packed; may be empty
};

struct EngineStats {
  SchedulerStats scheduler;
  int64_t num_steps = 0;
  int64_t last_step_us = 0;
  WorkTotals work;
  int64_t last_progress_us = 0;  // engine clock of the last committed step
  int64_t num_failed_steps = 0;
  int64_t num_integrity_checks = 0;
  std::string integrity_error;  // what the first failed check found; "": none
};

class Engine {
 public:
  // Called on the output thread, in order for each request; must not block.
  using Sink = std::function<void(RequestOutput output)>;

  static Result<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  static Result<std::unique_ptr<Engine>> Open(std::shared_ptr<const Checkpoint> checkpoint,
                                              const EngineOptions& options);
  // What Open would take of the memory, line by line; loads the weights, takes no KV memory.
  static Result<std::string> DryRun(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ModelRunner& runner() const { return *runner_; }
  const MemoryPlan& memory_plan() const { return plan_; }
  int max_model_len() const { return plan_.max_model_len; }
  int max_num_seqs() const { return options_.max_num_seqs; }
  // Every token id that ends a generation with this model.
  const std::vector<TokenId>& end_ids() const { return end_ids_; }

  // Checks the request, makes the first mask of its grammar and queues it; the sink gets its outputs until one has
  // request_finished. An id of 0 is replaced by a new one. With a grammar every choice is drawn from what it allows; it
  // must be compiled for this engine's tokenizer. A request that could never run is refused here: kInvalidArgument or
  // kOutOfRange; kResourceExhausted when the queue is full.
  Result<RequestId> Submit(Request request, Sink sink, grammar::GrammarPtr grammar = nullptr);
  // Ends a request without further output; harmless when it ended already.
  void Abort(RequestId request);

  // A paused request computes nothing, holds no KV memory and gives its place to others until it is resumed; a few of
  // its outputs may still come. Not for beam searches, which go on. Harmless when it has ended.
  void SetPaused(RequestId request, bool paused);

  // Writes the KV of a prompt's beginning to a file (engine/kv_file.h) and gives it back to the prefix cache, also in
  // another process with the same model and KV type. Return the number of tokens. Wait for the engine thread; not for
  // models with recurrent layers.
  Result<int> SavePrompt(const CacheDomain& domain, std::span<const TokenId> prompt, const std::string& path);
  Result<int> LoadPrompt(const CacheDomain& domain, const std::string& path);
  // Forgets the cached prefixes that no open request uses.
  void DropCachedPrefixes();

  EngineStats stats() const;
  // Microseconds since the engine opened.
  int64_t NowUs() const;
  // Ends when nothing is queued or running, at the latest after timeout_us; true when drained.
  bool Drain(int64_t timeout_us);

 private:
  struct SubmitMessage {
    std::shared_ptr<const Request> request;
    Sink sink;
    std::shared_ptr<const GuidedStart> guided;  // null: free text
  };
  struct AbortMessage {
    RequestId request;
  };
  struct PauseMessage {
    RequestId request;
    bool paused;
  };
  struct StopMessage {
    SequenceId sequence;
  };
  struct DropCacheMessage {};
  struct CallMessage {
    std::function<void()> call;  // with no step in flight
  };
  using Message = std::variant<SubmitMessage, AbortMessage, PauseMessage, StopMessage, CallMessage, DropCacheMessage>;

  Engine() = default;
  Status LoadAndPlan(std::shared_ptr<const Checkpoint> checkpoint, const EngineOptions& options);
  Status Start();
  Result<SchedulerConfig> MakeSchedulerConfig() const;
  void Post(Message message);
  void CallIdle(const std::function<void()>& call);
  Status CheckSaving() const;
  KvFile EmptyKvFile() const;
  void EngineLoop();
  void OutputLoop();
  void Deliver(RequestOutput output);
  bool DrainInbox();
  void Handle(SubmitMessage message);
  void Emit(std::vector<SequenceEvent> events);
  void ProvideMasks();
  void CommitOldest();
  void AwaitWork(std::unique_lock<std::mutex>& lock);
  void CheckIntegrity();
  void PublishStats();

  EngineOptions options_;  // with nothing left to decide
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<TokenId> end_ids_;
  std::unique_ptr<ModelRunner> runner_;
  MemoryPlan plan_;
  std::unique_ptr<Scheduler> scheduler_;        // engine thread only
  std::deque<ModelRunner::Pending> in_flight_;  // engine thread only
  std::deque<StepWork> work_in_flight_;         // engine thread only
  std::unique_ptr<StepMeter> meter_;
  std::unique_ptr<GrammarMasks> grammar_masks_;  // engine thread only
  std::atomic<RequestId> next_request_{1};
  int64_t start_us_ = 0;

  std::mutex inbox_mutex_;
  std::condition_variable inbox_ready_;
  std::deque<Message> inbox_;
  bool stopping_ = false;

  // What the output thread works on, in order.
  struct OutputItem {
    std::shared_ptr<const Request> start;  // a new request, or
    Sink sink;
    SequenceEvent event;   // an event, or
    RequestId forget = 0;  // an aborted request
  };
  struct OpenRequest {
    Sink sink;
    int num_sequences = 0;
  };
  void Close(const OpenRequest& request);
  Status ReserveSequences(int num_sequences);
  std::mutex outbox_mutex_;
  std::condition_variable outbox_ready_;
  std::deque<OutputItem> outbox_;
  bool output_stopping_ = false;
  std::unique_ptr<OutputProcessor> output_processor_;  // output thread only
  std::unordered_map<RequestId, OpenRequest> open_;    // output thread only

  mutable std::mutex stats_mutex_;
  EngineStats stats_;
  std::atomic<int64_t> num_open_{0};            // requests submitted and not finished
  std::atomic<int64_t> num_open_sequences_{0};  // their sequences

  std::thread engine_thread_, output_thread_;
};

}  // namespace millrace
