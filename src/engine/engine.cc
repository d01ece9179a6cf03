#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/checked_math.h"
#include "engine/open.h"

namespace millrace {
namespace {

int64_t SteadyUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Blocks that one sequence of num_tokens takes over all groups. Window groups are counted in full: chunks may span the window.
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

Result<SchedulingPolicy> ParsePolicy(const std::string& name) {
  if (name == "fcfs") return SchedulingPolicy::kFcfs;
  if (name == "priority") return SchedulingPolicy::kPriority;
  if (name == "lpm") return SchedulingPolicy::kLongestPrefixFirst;
  if (name == "round-robin") return SchedulingPolicy::kRoundRobin;
  if (name == "fair") return SchedulingPolicy::kFair;
  return InvalidArgument("--scheduling-policy is {}, expected fcfs, priority, lpm, round-robin or fair", name);
}

// Forced tokens are verified as drafts are, and a recurrent state can't go back from a wrong one.
int NumForcedTokens(const std::vector<KvGroupSpec>& groups, int wanted) {
  const bool recurrent = std::any_of(groups.begin(), groups.end(), [](const KvGroupSpec& group) { return group.kind == KvGroupKind::kRecurrent; });
  return recurrent ? 0 : wanted;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Checkpoint> checkpoint, OpenModel(options.model));
  return Open(std::move(checkpoint), options);
}

Result<std::unique_ptr<Engine>> Engine::Open(std::shared_ptr<const Checkpoint> checkpoint, const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine());
  RETURN_IF_ERROR(engine->Init(std::move(checkpoint), options));
  return engine;
}

Status Engine::Init(std::shared_ptr<const Checkpoint> checkpoint, const EngineOptions& options) {
  checkpoint_ = std::move(checkpoint);
  start_us_ = SteadyUs();
  const ModelConfig& config = checkpoint_->config();
  ASSIGN_OR_RETURN(tokenizer_, checkpoint_->MakeTokenizer());
  end_ids_ = EndIds(*tokenizer_, config);
  if (options.max_model_len > config.max_position_embeddings) {
    return InvalidArgument("--max-model-len is {}, the model has {} positions", options.max_model_len,
                           config.max_position_embeddings);
  }
  RunnerOptions runner_options;
  runner_options.num_threads = options.num_threads;
  runner_options.max_model_len = options.max_model_len;
  runner_options.max_num_batched_tokens = options.max_num_batched_tokens;
  runner_options.max_num_seqs = options.max_num_seqs;
  runner_options.kv_cache_dtype = options.kv_cache_dtype;
  runner_options.on_load_progress = options.on_load_progress;
  ASSIGN_OR_RETURN(runner_, ModelRunner::Create(checkpoint_, runner_options, end_ids_));

  MemoryPlanInput input;
  input.available_bytes = AvailableMemoryBytes();
  input.block_bytes = runner_->block_bytes();
  input.max_model_len = runner_->max_model_len();
  input.blocks_per_sequence =
      BlocksPerSequence(runner_->model().kv_groups(), input.block_bytes, input.max_model_len, options.max_num_batched_tokens);
  input.max_model_len_given = options.max_model_len > 0;
  input.max_num_seqs = options.max_num_seqs;
  input.kv_cache_bytes = options.kv_cache_bytes;
  ASSIGN_OR_RETURN(plan_, PlanKvMemory(input));
  if (options.verbose) std::fprintf(stderr, "%s\n", plan_.reason.c_str());
  RETURN_IF_ERROR(runner_->AllocateKv(plan_.num_blocks, options.swap_space_bytes / runner_->block_bytes()));

  ASSIGN_OR_RETURN(const SchedulerConfig scheduler_config, MakeSchedulerConfig(options));
  scheduler_ = std::make_unique<Scheduler>(scheduler_config);
  grammar_masks_ = std::make_unique<GrammarMasks>(scheduler_config.num_forced_tokens);
  output_processor_ = std::make_unique<OutputProcessor>(*tokenizer_);
  engine_thread_ = std::thread([this] { EngineLoop(); });
  output_thread_ = std::thread([this] { OutputLoop(); });
  return OkStatus();
}

Result<SchedulerConfig> Engine::MakeSchedulerConfig(const EngineOptions& options) const {
  SchedulerConfig config;
  config.max_num_seqs = options.max_num_seqs;
  config.max_num_batched_tokens = options.max_num_batched_tokens;
  config.max_model_len = plan_.max_model_len;
  config.enable_prefix_caching = options.enable_prefix_caching;
  config.kv_groups = runner_->model().kv_groups();
  config.num_gpu_blocks = static_cast<int>(plan_.num_blocks);
  config.num_cpu_blocks = static_cast<int>(runner_->num_host_blocks());
  config.target_inter_token_us = options.target_inter_token_us;
  config.eos_token_ids = end_ids_;
  config.num_forced_tokens = NumForcedTokens(config.kv_groups, options.num_forced_tokens);
  if (!options.mode.empty()) RETURN_IF_ERROR(ApplySchedulerPreset(options.mode, config));
  config.max_num_seqs = std::min(config.max_num_seqs, options.max_num_seqs);
  config.max_num_batched_tokens = std::min(config.max_num_batched_tokens, options.max_num_batched_tokens);
  if (!options.scheduling_policy.empty()) {
    ASSIGN_OR_RETURN(config.policy, ParsePolicy(options.scheduling_policy));
  }
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

int64_t Engine::NowUs() const { return SteadyUs() - start_us_; }

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
      return InvalidArgument("the prompt has token {}, the vocabulary has {} tokens", id, checkpoint_->config().vocab_size);
    }
  }
  const int64_t length = static_cast<int64_t>(request.prompt_token_ids.size());
  if (length >= plan_.max_model_len) {
    return InvalidArgument("the prompt has {} tokens, --max-model-len is {} and one token must be generated", length,
                           plan_.max_model_len);
  }
  SamplingParams& sampling = request.sampling;
  if (grammar != nullptr && sampling.use_beam_search) return Unsupported("use_beam_search can't be combined with a grammar");
  std::shared_ptr<const GuidedStart> guided;
  if (grammar != nullptr) {
    ASSIGN_OR_RETURN(guided, GuidedStart::Make(grammar));
  }
  if (sampling.best_of > sampling.n && sampling.logprobs < 0) sampling.logprobs = 0;  // to rank the choices
  if (request.id == 0) request.id = next_request_.fetch_add(1, std::memory_order_relaxed);
  const RequestId id = request.id;
  request.arrival_us = NowUs();
  num_open_.fetch_add(1, std::memory_order_relaxed);
  Post(SubmitMessage{std::make_shared<const Request>(std::move(request)), std::move(sink), std::move(guided)});
  return id;
}

void Engine::Abort(RequestId request) { Post(AbortMessage{request}); }

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
