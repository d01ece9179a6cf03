#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "commands.h"
#include "progress_bar.h"
#include "scheduler/scheduler_config.h"

namespace millrace {
namespace {

// That `parse` takes the text: a wrong name is seen before anything is opened, by --dry-run too.
auto Names(auto parse) {
  return [parse](const std::string& name) {
    const auto parsed = parse(name);
    return parsed.ok() ? std::string() : parsed.status().message();
  };
}

}  // namespace

int ReportStatus(const Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "millrace: %s\n", status.message().c_str());
  return 1;
}

void AddEngineOptions(CLI::App& command, EngineOptions* options, std::string* kv_cache_dtype) {
  command.add_option("model", options->model, "a .gguf file, a safetensors folder, a hub name, or synth:SHAPE:TYPE")
      ->required();
  command.add_option("--device", options->device, "cpu, cuda, or auto: a GPU when there is one that works")
      ->capture_default_str();
  command.add_flag("--enforce-eager", options->enforce_eager,
                   "on a GPU: launch every kernel of a decode step, replay none (CUDA graphs off)");
  command.add_option("-t,--threads", options->num_threads, "threads (default: every usable core)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--max-model-len", options->max_model_len, "tokens of a sequence at most (default: the model's)")
      ->check(CLI::Range(16, 1 << 24));
  command
      .add_option("--max-num-seqs", options->max_num_seqs, "sequences that run at once (default: 64, or the mode's)")
      ->check(CLI::Range(1, 4096));
  command
      .add_option("--num-forced-tokens", options->num_forced_tokens,
                  "tokens without a choice that one step computes under a grammar; 0: off")
      ->check(CLI::Range(0, 32))
      ->capture_default_str();
  command
      .add_option("--max-num-batched-tokens", options->max_num_batched_tokens,
                  "tokens of one step at most (default: 512, or the mode's)")
      ->check(CLI::Range(16, 65536));
  command.add_option("--kv-cache-dtype,--kv-type", *kv_cache_dtype, "bf16, f16, f32, int8 or fp8")
      ->capture_default_str();
  command.add_option("--kv-cache-bytes", options->kv_cache_bytes, "memory of the KV cache (default: decided at start)")
      ->transform(CLI::AsSizeValue(false));
  command.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", options->enable_prefix_caching,
                   "share the KV blocks of equal prompt beginnings");
  command.add_flag("-v,--verbose", options->verbose, "say on standard error what was decided");
}

void AddSchedulerOptions(CLI::App& command, EngineOptions* options) {
  command.add_option("--mode", options->mode, "low-latency, balanced or high-throughput");
  command
      .add_option("--target-inter-token-us", options->target_inter_token_us,
                  "longest step that a prompt may cause while others stream (default: the mode's, or no limit)")
      ->check(CLI::Range(1, 60'000'000));
  command.add_option("--scheduling-policy", options->scheduling_policy, "fcfs, priority, lpm, round-robin or fair")
      ->check(Names(ParseSchedulingPolicy))
      ->capture_default_str();
  command
      .add_option("--preemption-policy", options->preemption_policy,
                  "who gives way: latest, lowest-priority, least-generated or waiting-score")
      ->check(Names(ParseVictimPolicy))
      ->capture_default_str();
  command.add_option("--batching", options->batching, "continuous, static or dynamic")
      ->check(Names(ParseBatchingMode))
      ->capture_default_str();
  command.add_option("--swap-space-bytes", options->swap_space_bytes, "host memory for preempted sequences")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--max-tenant-cache-fraction", options->max_tenant_cache_fraction,
                  "part of the KV blocks that one tenant's cached prefixes may hold")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--max-pinned-cache-fraction", options->max_pinned_cache_fraction,
                  "part of the KV blocks that pinned prefixes may hold")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
}

void AddTraceScaleOptions(CLI::App& command, sim::TraceScale* scale) {
  command
      .add_option("--time-scale", scale->time, "multiply the times of the trace by this: 0.5 plays it twice as fast")
      ->check(CLI::Range(1e-6, 1e3))
      ->capture_default_str();
  command
      .add_option("--length-scale", scale->length,
                  "multiply the lengths of its prompts and answers by this: 0.1 makes them a tenth")
      ->check(CLI::Range(1e-6, 1e3))
      ->capture_default_str();
}

Status FinishEngineOptions(const std::string& kv_cache_dtype, EngineOptions* options) {
  const std::string name = kv_cache_dtype == "int8" ? "I8" : kv_cache_dtype == "fp8" ? "F8_E4M3" : kv_cache_dtype;
  const std::optional<DType> type = ParseDType(name);
  constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kF8E4M3};
  if (!type || std::find(std::begin(kTypes), std::end(kTypes), *type) == std::end(kTypes)) {
    return InvalidArgument("--kv-cache-dtype is {}, expected bf16, f16, f32, int8 or fp8", kv_cache_dtype);
  }
  options->kv_cache_dtype = *type;
  ASSIGN_OR_RETURN(options->model, ResolveModel(options->model));
  return OkStatus();
}

Result<std::unique_ptr<Engine>> OpenEngine(EngineOptions options) {
  ProgressBar bar("Loading " + std::filesystem::path(options.model).filename().string());
  options.on_load_progress = [&bar](double fraction) { bar.Show(fraction); };
  return Engine::Open(options);
}

void AddSamplingOptions(CLI::App& command, SamplingParams* params) {
  command.add_option("-n,--max-tokens", params->max_tokens, "tokens to generate at most (0: up to the model's length)");
  command.add_option("--temp,--temperature", params->temperature, "0 is greedy")->capture_default_str();
  command.add_option("--top-k", params->top_k, "keep the k best tokens (0: all)")->capture_default_str();
  command.add_option("--top-p", params->top_p, "keep the best tokens of this total probability")->capture_default_str();
  command.add_option("--min-p", params->min_p, "keep tokens this likely, relative to the best")->capture_default_str();
  command.add_option("--typical-p", params->typical_p, "locally typical sampling")->capture_default_str();
  command.add_option("--repetition-penalty", params->repetition_penalty)->capture_default_str();
  command.add_option("--frequency-penalty", params->frequency_penalty)->capture_default_str();
  command.add_option("--presence-penalty", params->presence_penalty)->capture_default_str();
  command.add_option("--dry-multiplier", params->dry_multiplier)->capture_default_str();
  command.add_option("--xtc-probability", params->xtc_probability)->capture_default_str();
  command.add_option("--xtc-threshold", params->xtc_threshold)->capture_default_str();
  command.add_option("--mirostat", params->mirostat_mode, "0, 1 or 2")->capture_default_str();
  command.add_option("--stop", params->stop, "end before this text (may be repeated)");
  command.add_flag("--ignore-eos", params->ignore_eos, "go on after an end token");
  command.add_option("--logprobs", params->logprobs, "report the logprob of each token and of this many best ones");
}

Result<std::string> ReadStandardInput(size_t max_bytes) {
  std::string text;
  char buffer[65536];
  while (const size_t count = std::fread(buffer, 1, sizeof(buffer), stdin)) {
    text.append(buffer, count);
    if (text.size() > max_bytes) return OutOfRange("standard input is longer than {} bytes", max_bytes);
  }
  return text;
}

}  // namespace millrace
