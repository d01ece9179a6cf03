#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench_engine.h"
#include "bench_run.h"
#include "bench_serve.h"
#include "commands.h"
#include "engine/open.h"
#include "engine/step_work.h"
#include "kernels/limits/limits.h"

namespace millrace {
namespace {

struct BenchOptions {
  std::string model;
  int pp = 512, tg = 128, repetitions = 3;
  std::vector<int> depths = {0}, threads, batches = {1};
  std::string kv_cache_dtype = "bf16", device = "cpu";
  bool json = false, limits_only = false, engine = false, enforce_eager = false;
  EngineBenchOptions through_engine;
};

struct BenchLine {
  std::string test;
  int threads = 0;
  int depth = 0;
  int batch = 0;
  double tokens_per_second = 0.0, slowest = 0.0, fastest = 0.0;
  double gb_per_second = 0.0;     // weights and KV read
  double gflop_per_second = 0.0;  // 2 x parameters outside the embedding x tokens
  double fraction =
      0.0;  // of the limit that binds: arithmetic for pp, for tg bandwidth or, with many sequences, arithmetic
  const char* limit = "";
};

int64_t KvBytesAt(const ModelRunner& runner, DType type, int depth) {
  const ModelConfig& c = runner.model().config();
  int64_t bytes = 0;
  for (const KvGroupSpec& group : runner.model().kv_groups()) {
    if (group.kind == KvGroupKind::kRecurrent) continue;
    const int64_t tokens = group.window_tokens > 0 ? std::min(depth, group.window_tokens) : depth;
    bytes += static_cast<int64_t>(group.layers.size()) * tokens *
             runner.ops().kv_layer_bytes(type, c.num_key_value_heads, c.head_dim) / kKvBlockTokens;
  }
  return bytes;
}

// The arithmetic peak that products with these weights can use.
double ArithmeticLimit(const Checkpoint& checkpoint, const kernels::MachineLimits& limits, const char** name) {
  std::string most;
  int64_t bytes = 0;
  for (const auto& [type, count] : checkpoint.info().bytes_by_type) {
    if (count > bytes) most = type, bytes = count;
  }
  const bool quantised = ParseDType(most) && IsQuantised(*ParseDType(most));
  if (quantised && limits.int8_gop_per_s > 0) {
    *name = "int8";
    return limits.int8_gop_per_s;
  }
  if (most == "BF16" && limits.bf16_gflop_per_s > 0) {
    *name = "bf16";
    return limits.bf16_gflop_per_s;
  }
  *name = "f32";
  return limits.f32_gflop_per_s;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(std::shared_ptr<const Checkpoint> checkpoint, const BenchOptions& options, DType kv_dtype)
      : checkpoint_(std::move(checkpoint)),
        options_(options),
        kv_dtype_(kv_dtype),
        active_parameters_(ActiveParameters(*checkpoint_)) {}

  Status Run(int threads, std::vector<BenchLine>* lines) {
    ThreadPool pool(threads);
    pool_ = &pool;
    ASSIGN_OR_RETURN(isa_, kernels::SelectIsa());
    limits_ = kernels::MeasureLimits(pool, isa_);
    RunnerOptions runner_options;
    runner_options.device = options_.device;
    runner_options.enforce_eager = options_.enforce_eager;
    runner_options.num_threads = threads;
    runner_options.kv_cache_dtype = kv_dtype_;
    const int max_depth = *std::max_element(options_.depths.begin(), options_.depths.end());
    const int max_batch = *std::max_element(options_.batches.begin(), options_.batches.end());
    ASSIGN_OR_RETURN(const std::unique_ptr<BenchRunner> bench,
                     BenchRunner::Create(checkpoint_, runner_options, max_batch,
                                         max_depth + std::max(options_.pp, options_.tg) + 16));
    bench->Prefill(1, 0, 32);  // touches every weight once
    for (const int depth : options_.depths) {
      if (depth > 0) bench->Prefill(max_batch, 0, depth);
      if (options_.pp > 0) lines->push_back(Prefill(*bench, threads, depth));
      if (options_.tg == 0) continue;
      for (const int batch : options_.batches) lines->push_back(Decode(*bench, threads, depth, batch));
      if (!bench->error().empty()) return Internal("a step failed: {}", bench->error());
    }
    num_replays_ = bench->runner().times().num_replays;
    return OkStatus();
  }

  const kernels::MachineLimits& limits() const { return limits_; }
  // Of the last run: decode steps that replayed a recording on a GPU.
  int64_t num_replays() const { return num_replays_; }

 private:
  template <typename Fn>
  void Repeat(int tokens, BenchLine* line, const Fn& run) {
    std::vector<double> rates;
    for (int i = 0; i < options_.repetitions; ++i) rates.push_back(tokens / run());
    line->tokens_per_second = Median(rates);
    line->slowest = *std::min_element(rates.begin(), rates.end());
    line->fastest = *std::max_element(rates.begin(), rates.end());
  }

  BenchLine Prefill(BenchRunner& bench, int threads, int depth) {
    BenchLine line{.test = fmt::format("pp{}", options_.pp), .threads = threads, .depth = depth, .batch = 1};
    Repeat(options_.pp, &line, [&] { return bench.Prefill(1, depth, options_.pp); });
    line.gflop_per_second = 2e-9 * static_cast<double>(active_parameters_) * line.tokens_per_second;
    line.fraction = line.gflop_per_second / ArithmeticLimit(*checkpoint_, limits_, &line.limit);
    return line;
  }

  BenchLine Decode(BenchRunner& bench, int threads, int depth, int batch) {
    BenchLine line{.test = fmt::format("tg{}", options_.tg), .threads = threads, .depth = depth, .batch = batch};
    std::vector<double> reads = {kernels::MeasureReadRate(*pool_, isa_)};
    Repeat(options_.tg * batch, &line, [&] {
      const double seconds = bench.Decode(batch, depth, options_.tg);
      reads.push_back(kernels::MeasureReadRate(*pool_, isa_));
      return seconds;
    });
    const double steps_per_second = line.tokens_per_second / batch;
    const double bytes = static_cast<double>(bench.runner().model().weight_bytes()) +
                         static_cast<double>(KvBytesAt(bench.runner(), kv_dtype_, depth + options_.tg / 2)) * batch;
    line.gb_per_second = 1e-9 * bytes * steps_per_second;
    line.gflop_per_second = 2e-9 * static_cast<double>(active_parameters_) * line.tokens_per_second;
    line.fraction = line.gb_per_second / Median(reads);
    line.limit = "read";
    const char* peak = "";
    const double of_peak = line.gflop_per_second / ArithmeticLimit(*checkpoint_, limits_, &peak);
    if (of_peak > line.fraction) line.fraction = of_peak, line.limit = peak;
    return line;
  }

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const BenchOptions& options_;
  const DType kv_dtype_;
  const int64_t active_parameters_;
  ThreadPool* pool_ = nullptr;  // of the run at hand
  kernels::Isa isa_ = kernels::Isa::kGeneric;
  kernels::MachineLimits limits_;
  int64_t num_replays_ = 0;
};

nlohmann::ordered_json ToJson(int threads, const kernels::MachineLimits& limits) {
  return {{"threads", threads},
          {"read_gb_per_s", limits.read_gb_per_s},
          {"f32_gflop_per_s", limits.f32_gflop_per_s},
          {"bf16_gflop_per_s", limits.bf16_gflop_per_s},
          {"int8_gop_per_s", limits.int8_gop_per_s}};
}

void PrintLimits(int threads, const kernels::MachineLimits& limits) {
  fmt::print("limits, {} thread{}: read {:.1f} GB/s, f32 {:.0f} GFLOP/s, bf16 {:.0f} GFLOP/s, int8 {:.0f} GOP/s\n",
             threads, threads == 1 ? "" : "s", limits.read_gb_per_s, limits.f32_gflop_per_s, limits.bf16_gflop_per_s,
             limits.int8_gop_per_s);
}

Status RunLimits(const BenchOptions& options) {
  ASSIGN_OR_RETURN(const kernels::Isa isa, kernels::SelectIsa());
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const int threads : options.threads) {
    ThreadPool pool(threads);
    const kernels::MachineLimits limits = kernels::MeasureLimits(pool, isa);
    if (options.json) out.push_back(ToJson(threads, limits));
    if (!options.json) PrintLimits(threads, limits);
  }
  if (options.json) std::printf("%s\n", out.dump(2).c_str());
  return OkStatus();
}

Status RunBench(BenchOptions options) {
  if (options.threads.empty()) options.threads = {NumUsableCores()};
  if (options.limits_only) return RunLimits(options);
  if (options.model.empty()) return InvalidArgument("bench needs a model, or --limits");
  EngineOptions engine_options;
  engine_options.model = options.model;
  RETURN_IF_ERROR(FinishEngineOptions(options.kv_cache_dtype, &engine_options));
  if (options.engine) {
    EngineBenchOptions& all = options.through_engine;
    all.engine.model = engine_options.model;
    all.engine.kv_cache_dtype = engine_options.kv_cache_dtype;
    all.engine.num_threads = options.threads.front();
    all.num_requests = options.batches.front();
    all.prompt_tokens = std::max(1, options.pp);
    all.output_tokens = std::max(1, options.tg);
    all.json = options.json;
    return RunEngineBench(all);
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const Checkpoint> checkpoint, OpenModel(engine_options.model));
  Bench bench(checkpoint, options, engine_options.kv_cache_dtype);
  nlohmann::ordered_json out = {
      {"model", options.model}, {"device", options.device}, {"kv_cache_dtype", options.kv_cache_dtype}};
  if (!options.json)
    fmt::print("{:8} {:>7} {:>6} {:>5} {:>10} {:>17} {:>8} {:>9}  limit\n", "test", "threads", "depth", "batch",
               "tokens/s", "range", "GB/s", "GFLOP/s");
  for (const int threads : options.threads) {
    std::vector<BenchLine> lines;
    RETURN_IF_ERROR(bench.Run(threads, &lines));
    if (options.json) out["limits"].push_back(ToJson(threads, bench.limits()));
    if (options.json) out["replayed_steps"].push_back(bench.num_replays());
    for (const BenchLine& l : lines) {
      if (options.json) {
        out["results"].push_back({{"test", l.test},
                                  {"threads", l.threads},
                                  {"depth", l.depth},
                                  {"batch", l.batch},
                                  {"tokens_per_second", l.tokens_per_second},
                                  {"slowest", l.slowest},
                                  {"fastest", l.fastest},
                                  {"gb_per_second", l.gb_per_second},
                                  {"gflop_per_second", l.gflop_per_second},
                                  {"limit", l.limit},
                                  {"fraction_of_limit", l.fraction}});
      } else {
        fmt::print("{:8} {:>7} {:>6} {:>5} {:>10.2f} {:>17} {:>8.1f} {:>9.0f}  {:.0f} % of {}\n", l.test, l.threads,
                   l.depth, l.batch, l.tokens_per_second, fmt::format("{:.1f}-{:.1f}", l.slowest, l.fastest),
                   l.gb_per_second, l.gflop_per_second, 100 * l.fraction, l.limit);
      }
    }
    if (!options.json) PrintLimits(threads, bench.limits());
  }
  if (options.json) std::printf("%s\n", out.dump(2).c_str());
  return OkStatus();
}

void AddEngineBenchOptions(CLI::App& command, BenchOptions* options) {
  EngineBenchOptions& engine = options->through_engine;
  command.add_flag("--engine", options->engine,
                   "through the whole engine: the first --batch requests of --pp and --tg tokens at once, or a trace");
  command.add_option("--trace", engine.trace, "with --engine: an Azure (CSV) or Mooncake (JSON lines) trace");
  command.add_option("--requests", engine.max_requests, "of the trace, the first so many")
      ->check(CLI::Range(1, 1'000'000));
  AddTraceScaleOptions(command, &engine.scale);
  command.add_option("--steps-out", engine.steps_out, "with --engine: write the measured steps, for simulate --cost");
  command
      .add_option("--max-num-seqs", engine.engine.max_num_seqs,
                  "sequences that run at once (default: 64, or the mode's)")
      ->check(CLI::Range(1, 4096));
  command
      .add_option("--max-num-batched-tokens", engine.engine.max_num_batched_tokens,
                  "tokens of one step (default: 512, or the mode's)")
      ->check(CLI::Range(16, 65536));
  command.add_option("--max-model-len", engine.engine.max_model_len, "with --engine: tokens of a sequence")
      ->check(CLI::Range(16, 1 << 24));
  command.add_option("--kv-cache-bytes", engine.engine.kv_cache_bytes, "with --engine: memory of the KV cache")
      ->transform(CLI::AsSizeValue(false));
  AddSchedulerOptions(command, &engine.engine);
}

}  // namespace

void AddBenchCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Measure prefill and decode against the limits of this machine");
  command->add_option("model", options->model, "a model, or synth:SHAPE:TYPE");
  command->add_option("--device", options->device, "cpu, cuda, or auto; ratios are to the CPU's limits")
      ->capture_default_str();
  command->add_flag("--enforce-eager", options->enforce_eager,
                    "on a GPU: launch every kernel of a decode step, replay none (CUDA graphs off)");
  command->add_option("--pp", options->pp, "prompt tokens (0: no prefill test)")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--tg", options->tg, "generated tokens (0: no decode test)")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--depth", options->depths, "tokens already in the cache")
      ->delimiter(',')
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-t,--threads", options->threads, "thread counts")->delimiter(',')->check(CLI::Range(1, 1024));
  command->add_option("--batch", options->batches, "sequences that decode together")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("-r,--repetitions", options->repetitions, "runs, of which the median is shown")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--kv-cache-dtype,--kv-type", options->kv_cache_dtype, "bf16, f16, f32, int8 or fp8")
      ->capture_default_str();
  command->add_flag("--limits", options->limits_only, "measure the machine only");
  command->add_flag("--json", options->json, "print JSON");
  AddEngineBenchOptions(*command, options.get());
  AddBenchServeCommand(*command, exit_code);
  command->callback([=] {
    if (!command->got_subcommand("serve")) *exit_code = ReportStatus(RunBench(*options));
  });
}

}  // namespace millrace
