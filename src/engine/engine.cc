#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/checked_math.h"
#include "engine/open.h"
#include "engine/warm_up.h"

namespace millrace {
namespace {

int64_t SteadyUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Blocks that one sequence of num_tokens takes over all groups. Window groups are counted in full: chunks may span the
// window.
int64_t BlocksPerSequence(const std::vector<KvGroupSpec>& groups, int64_t block_bytes, int num_tokens, int max_chunk) {
  int64_t blocks = 0;
  for (const KvGroupSpec& group : groups) {
    if (group.kind == KvGroupKind::kRecurrent) {
      blocks += 2 * BlocksPerState(group, block_bytes);
    } else {
      const int64_t tokens = group.kind == KvGroupKind::kWindow
                                 ? std::min<int64_t>(num_tokens, group.window_tokens + max_chunk + kKvBlockTokens)
                                 : num_tokens;
      blocks += CeilDiv<int64_t>(tokens, kKvBlockTokens) + 1;
    }
  }
  return blocks;
}

// Beyond, page faults are small beside the steps of a model whose KV is that large.
constexpr int64_t kPopulatedKvBytes = int64_t{256} << 20;

int NumSequences(const SamplingParams& sampling) {
  return std::max(sampling.n, sampling.best_of);
}

// What the user left open, from the mode or the defaults of a machine without one.
Status ResolveOptions(EngineOptions* options) {
  SchedulerConfig preset;
  preset.max_num_seqs = 64;
  preset.max_num_batched_tokens = 512;
  if (!options->mode.empty()) RETURN_IF_ERROR(ApplySchedulerPreset(options->mode, preset));
  if (options->max_num_seqs == 0) options->max_num_seqs = preset.max_num_seqs;
  if (options->max_num_batched_tokens == 0) options->max_num_batched_tokens = preset.max_num_batched_tokens;
  if (options->target_inter_token_us == 0) options->target_inter_token_us = preset.target_inter_token_us;
  return OkStatus();
}

// Forced tokens are verified as drafts are, and a recurrent state can't go back from a wrong one.
int NumForcedTokens(const std::vector<KvGroupSpec>& groups, int wanted) {
  const bool recurrent = std::any_of(groups.begin(), groups.end(),
                                     [](const KvGroupSpec& group) { return group.kind == KvGroupKind::kRecurrent; });
  return recurrent ? 0 : wanted;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Checkpoint> checkpoint, OpenModel(options.model));
  return Open(std::move(checkpoint), options);
}

Result<std::unique_ptr<Engine>> Engine::Open(std::shared_ptr<const Checkpoint> checkpoint,
                                             const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine());
  RETURN_IF_ERROR(engine->LoadAndPlan(std::move(checkpoint), options));
  RETURN_IF_ERROR(engine->Start());
  return engine;
}

Result<std::string> Engine::DryRun(const EngineOptions& options) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Checkpoint> checkpoint, OpenModel(options.model));
  Engine engine;
  RETURN_IF_ERROR(engine.LoadAndPlan(std::move(checkpoint), options));
  MemoryReport report;
  report.model = engine.checkpoint_->info().name;
  report.file_bytes = engine.checkpoint_->info().file_bytes;
  report.weight_bytes = engine.runner_->model().weight_bytes();
  report.workspace_bytes = engine.runner_->workspace_bytes();
  report.block_bytes = engine.runner_->block_bytes();
  report.kv_dtype = engine.options_.kv_cache_dtype;
  report.swap_bytes = engine.options_.swap_space_bytes / report.block_bytes * report.block_bytes;
  report.max_num_seqs = engine.options_.max_num_seqs;
  report.max_num_batched_tokens = engine.options_.max_num_batched_tokens;
  return DescribeMemory(report, engine.plan_);
}

Status Engine::LoadAndPlan(std::shared_ptr<const Checkpoint> checkpoint, const EngineOptions& options) {
  checkpoint_ = std::move(checkpoint);
  options_ = options;
  RETURN_IF_ERROR(ResolveOptions(&options_));
  start_us_ = SteadyUs();
  const ModelConfig& config = checkpoint_->config();
  ASSIGN_OR_RETURN(tokenizer_, checkpoint_->MakeTokenizer());
  end_ids_ = EndIds(*tokenizer_, config);
  if (options_.max_model_len > config.max_position_embeddings) {
    return InvalidArgument("--max-model-len is {}, the model has {} positions", options_.max_model_len,
                           config.max_position_embeddings);
  }
  RunnerOptions runner_options;
  runner_options.device = options_.device;
  runner_options.enforce_eager = options_.enforce_eager;
  runner_options.num_threads = options_.num_threads;
  runner_options.max_model_len = options_.max_model_len;
  runner_options.max_num_batched_tokens = options_.max_num_batched_tokens;
  runner_options.max_num_seqs = options_.max_num_seqs;
  runner_options.kv_cache_dtype = options_.kv_cache_dtype;
  if (options_.warm_up) runner_options.populate_kv_bytes = kPopulatedKvBytes;
  runner_options.short_steps = options_.short_steps;
  runner_options.observer = options_.observer;
  runner_options.on_load_progress = options_.on_load_progress;
  ASSIGN_OR_RETURN(runner_, ModelRunner::Create(checkpoint_, runner_options, end_ids_));

  if (options_.verbose) std::fprintf(stderr, "Device: %s\n", runner_->device_description().c_str());

  MemoryPlanInput input;
  const DeviceMemory* device = runner_->ops().memory;
  input.available_bytes = device != nullptr ? device->available_bytes() : AvailableMemoryBytes();
  input.block_bytes = runner_->block_bytes();
  input.max_model_len = runner_->max_model_len();
  input.blocks_per_sequence = BlocksPerSequence(runner_->model().kv_groups(), input.block_bytes, input.max_model_len,
                                                options_.max_num_batched_tokens);
  input.max_model_len_given = options_.max_model_len > 0;
  input.max_num_seqs = options_.max_num_seqs;
  input.kv_cache_bytes = options_.kv_cache_bytes;
  input.swap_bytes = options_.swap_space_bytes;
  ASSIGN_OR_RETURN(plan_, PlanKvMemory(input));
  if (options_.verbose) std::fprintf(stderr, "%s\n", plan_.reason.c_str());
  return OkStatus();
}

Status Engine::Start() {
  RETURN_IF_ERROR(runner_->AllocateKv(plan_.num_blocks, options_.swap_space_bytes / runner_->block_bytes()));
  ASSIGN_OR_RETURN(const SchedulerConfig scheduler_config, MakeSchedulerConfig());
  if (options_.warm_up) RETURN_IF_ERROR(WarmUp(scheduler_config, *runner_));
  scheduler_ = std::make_unique<Scheduler>(scheduler_config);
  grammar_masks_ = std::make_unique<GrammarMasks>(scheduler_config.num_forced_tokens);
  output_processor_ = std::make_unique<OutputProcessor>(*tokenizer_);
  meter_ = std::make_unique<StepMeter>(*checkpoint_, runner_->model().weight_bytes(), runner_->block_bytes());
  PublishStats();
  engine_thread_ = std::thread([this] { EngineLoop(); });
  output_thread_ = std::thread([this] { OutputLoop(); });
  return OkStatus();
}

Result<SchedulerConfig> Engine::MakeSchedulerConfig() const {
  SchedulerConfig config;
  config.max_num_seqs = options_.max_num_seqs;
  config.max_num_batched_tokens = options_.max_num_batched_tokens;
  config.max_model_len = plan_.max_model_len;
  config.max_num_waiting = options_.max_num_waiting + options_.max_num_seqs;  // Submit counts the running ones too
  config.enable_prefix_caching = options_.enable_prefix_caching;
  config.kv_groups = runner_->model().kv_groups();
  config.num_gpu_blocks = static_cast<int>(plan_.num_blocks);
  config.num_cpu_blocks = static_cast<int>(runner_->num_host_blocks());
  config.max_tenant_cache_fraction = options_.max_tenant_cache_fraction;
  config.max_pinned_cache_fraction = options_.max_pinned_cache_fraction;
  config.target_inter_token_us = options_.target_inter_token_us;
  config.eos_token_ids = end_ids_;
  config.num_forced_tokens = NumForcedTokens(config.kv_groups, options_.num_forced_tokens);
  ASSIGN_OR_RETURN(config.policy, ParseSchedulingPolicy(options_.scheduling_policy));
  ASSIGN_OR_RETURN(config.victim_policy, ParseVictimPolicy(options_.preemption_policy));
  ASSIGN_OR_RETURN(config.batching, ParseBatchingMode(options_.batching));
  RETURN_IF_ERROR(ValidateSchedulerConfig(config));
  return config;
}

Engine::~Engine() {
  {
    std::lock_guard lock(inbox_mutex_);
    stopping_ = true;
  }
  inbox_ready_.notify_all();
  if (engine_thread_.joinable()) engine_thread_.join();
  {
    std::lock_guard lock(outbox_mutex_);
    output_stopping_ = true;
  }
  outbox_ready_.notify_all();
  if (output_thread_.joinable()) output_thread_.join();
}

int64_t Engine::NowUs() const {
  return SteadyUs() - start_us_;
}

void Engine::Post(Message message) {
  {
    std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(message));
  }
  inbox_ready_.notify_one();
}

Result<RequestId> Engine::Submit(Request request, Sink sink, grammar::GrammarPtr grammar) {
  RETURN_IF_ERROR(ValidateSamplingParams(request.sampling, checkpoint_->config().vocab_size));
  if (request.prompt_token_ids.empty()) return InvalidArgument("the prompt has no tokens");
  for (const TokenId id : request.prompt_token_ids) {
    if (id < 0 || id >= checkpoint_->config().vocab_size) {
      return InvalidArgument("the prompt has token {}, the vocabulary has {} tokens", id,
                             checkpoint_->config().vocab_size);
    }
  }
  const int64_t length = static_cast<int64_t>(request.prompt_token_ids.size());
  if (length >= plan_.max_model_len) {
    return InvalidArgument("the prompt has {} tokens, --max-model-len is {} and one token must be generated", length,
                           plan_.max_model_len);
  }
  SamplingParams& sampling = request.sampling;
  if (request.pooling != Pooling::kNone) {
    if (std::string_view(runner_->ops().device) != "cpu")
      return Unsupported("embeddings are computed by the CPU backend alone");
    sampling = {.max_tokens = 1};
  }
  if (grammar != nullptr && sampling.use_beam_search)
    return Unsupported("use_beam_search can't be combined with a grammar");
  std::shared_ptr<const GuidedStart> guided;
  if (grammar != nullptr) {
    ASSIGN_OR_RETURN(guided, GuidedStart::Make(grammar));
  }
  if (sampling.best_of > sampling.n && sampling.logprobs < 0) sampling.logprobs = 0;  // to rank the choices
  RETURN_IF_ERROR(scheduler_->CheckFits(request));
  RETURN_IF_ERROR(ReserveSequences(NumSequences(sampling)));
  if (request.id == 0) request.id = next_request_.fetch_add(1, std::memory_order_relaxed);
  const RequestId id = request.id;
  request.arrival_us = NowUs();
  if (request.queue_timeout_us == 0) request.queue_timeout_us = options_.queue_timeout_us;
  num_open_.fetch_add(1, std::memory_order_relaxed);
  Post(SubmitMessage{std::make_shared<const Request>(std::move(request)), std::move(sink), std::move(guided)});
  return id;
}

Status Engine::ReserveSequences(int num_sequences) {
  const int64_t limit = int64_t{options_.max_num_waiting} + options_.max_num_seqs;
  if (num_sequences > limit) {
    return OutOfRange("n or best_of is {}, {} sequences may be open at once (--max-num-seqs and --max-queued)",
                      num_sequences, limit);
  }
  const int64_t before = num_open_sequences_.fetch_add(num_sequences, std::memory_order_relaxed);
  if (before + num_sequences <= limit) return OkStatus();
  num_open_sequences_.fetch_sub(num_sequences, std::memory_order_relaxed);
  return ResourceExhausted(
      "{} sequences are open and {} more were asked for, the limit is {} (--max-num-seqs and --max-queued)", before,
      num_sequences, limit);
}

void Engine::Close(const OpenRequest& request) {
  num_open_sequences_.fetch_sub(request.num_sequences, std::memory_order_relaxed);
  num_open_.fetch_sub(1, std::memory_order_release);
}

void Engine::SetPaused(RequestId request, bool paused) {
  Post(PauseMessage{request, paused});
}

void Engine::Abort(RequestId request) {
  Post(AbortMessage{request});
}

void Engine::DropCachedPrefixes() {
  Post(DropCacheMessage{});
}

EngineStats Engine::stats() const {
  std::lock_guard lock(stats_mutex_);
  return stats_;
}

bool Engine::Drain(int64_t timeout_us) {
  const int64_t deadline = NowUs() + timeout_us;
  while (num_open_.load(std::memory_order_acquire) > 0) {
    if (NowUs() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace millrace
