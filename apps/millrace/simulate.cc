#include <cstdio>

#include "commands.h"
#include "fleet_report.h"
#include "sim/fleet.h"

namespace millrace {
namespace {

struct SimulateOptions {
  std::string trace, cost, routing = "least-load", mode, policy = "fcfs", victims = "latest", batching = "continuous";
  int64_t max_requests = 0;
  sim::TraceScale scale;
  int instances = 1, max_instances = 10'000;
  int max_num_seqs = 0, max_num_batched_tokens = 0, max_model_len = 131'072, kv_blocks = 8192;
  int64_t target_inter_token_us = 0;
  double price_per_hour = 0;
  sim::LatencyTarget target;
  bool json = false;
};

Result<SchedulerConfig> MakeConfig(const SimulateOptions& options) {
  SchedulerConfig config;
  config.max_num_seqs = 64;
  config.max_num_batched_tokens = 512;
  if (!options.mode.empty()) RETURN_IF_ERROR(ApplySchedulerPreset(options.mode, config));
  if (options.max_num_seqs > 0) config.max_num_seqs = options.max_num_seqs;
  if (options.max_num_batched_tokens > 0) config.max_num_batched_tokens = options.max_num_batched_tokens;
  if (options.target_inter_token_us > 0) config.target_inter_token_us = options.target_inter_token_us;
  config.max_model_len = options.max_model_len;
  config.max_num_waiting = 1'000'000;
  config.num_gpu_blocks = options.kv_blocks;
  config.kv_groups = {{.kind = KvGroupKind::kFull, .layers = {0}, .bytes_per_block = 64}};
  ASSIGN_OR_RETURN(config.policy, ParseSchedulingPolicy(options.policy));
  ASSIGN_OR_RETURN(config.victim_policy, ParseVictimPolicy(options.victims));
  ASSIGN_OR_RETURN(config.batching, ParseBatchingMode(options.batching));
  RETURN_IF_ERROR(ValidateSchedulerConfig(config));
  return config;
}

Status Simulate(const SimulateOptions& options) {
  sim::FleetOptions fleet;
  ASSIGN_OR_RETURN(fleet.scheduler, MakeConfig(options));
  ASSIGN_OR_RETURN(fleet.routing, sim::ParseRouting(options.routing));
  ASSIGN_OR_RETURN(const sim::StepCostModel cost, sim::StepCostModel::Load(options.cost));
  ASSIGN_OR_RETURN(sim::Trace trace, sim::LoadTrace(options.trace, options.max_requests));
  sim::ScaleTrace(options.scale, &trace);
  fleet.num_instances = options.instances;
  sim::FleetReport report;
  if (options.target.ttft_p99_ms > 0 || options.target.tpot_p99_ms > 0) {
    ASSIGN_OR_RETURN(report, sim::FindFleetSize(trace, cost, fleet, options.target, options.max_instances));
  } else {
    report = sim::RunFleet(trace, cost, fleet);
  }
  const double money = sim::CostPerMillionTokens(report, options.price_per_hour);
  if (options.json) {
    nlohmann::ordered_json out = FleetReportToJson(report);
    out["routing"] = options.routing;
    out["cost_per_million_output_tokens"] = money;
    out["cost_model"] = {{"median_error", cost.median_error()}, {"total_error", cost.total_error()}};
    std::printf("%s\n", out.dump(2).c_str());
    return OkStatus();
  }
  PrintFleetReport(report);
  if (options.price_per_hour > 0)
    fmt::print("{:.2f} per million output tokens at {} an hour and instance\n", money, options.price_per_hour);
  fmt::print("cost model: median error of a step {:.1f} %, of their sum {:+.1f} %\n", 100 * cost.median_error(),
             100 * cost.total_error());
  return OkStatus();
}

}  // namespace

void AddSimulateCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<SimulateOptions>();
  SimulateOptions& o = *options;
  CLI::App* command =
      app.add_subcommand("simulate", "Replay a trace of requests against a fleet of instances, in virtual time");
  command->add_option("--trace", o.trace, "an Azure (CSV) or Mooncake (JSON lines) trace")->required();
  command
      ->add_option("--cost", o.cost, "measured steps: bench --engine --steps-out FILE, or the output of bench --json")
      ->required();
  command->add_option("--requests", o.max_requests, "the first so many (default: all)")
      ->check(CLI::Range(1, 1'000'000));
  AddTraceScaleOptions(*command, &o.scale);
  command->add_option("--instances", o.instances, "size of the fleet")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--routing", o.routing, "round-robin, least-load or prefix-aware")->capture_default_str();
  command->add_option("--target-ttft-ms", o.target.ttft_p99_ms,
                      "find the fewest instances whose p99 to the first token is at most this");
  command->add_option("--target-tpot-ms", o.target.tpot_p99_ms, "likewise for the p99 of the time per token");
  command->add_option("--max-instances", o.max_instances, "of that search")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--price-per-hour", o.price_per_hour, "of an instance");
  command->add_option("--kv-blocks", o.kv_blocks, "KV blocks of 16 tokens of an instance")
      ->check(CLI::Range(1, 1 << 26))
      ->capture_default_str();
  command->add_option("--max-model-len", o.max_model_len, "tokens of a sequence at most")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command->add_option("--max-num-seqs", o.max_num_seqs, "sequences that run at once (default: 64, or the mode's)")
      ->check(CLI::Range(1, 65536));
  command
      ->add_option("--max-num-batched-tokens", o.max_num_batched_tokens,
                   "tokens of one step (default: 512, or the mode's)")
      ->check(CLI::Range(16, 1 << 20));
  command->add_option("--mode", o.mode, "low-latency, balanced or high-throughput");
  command->add_option("--target-inter-token-us", o.target_inter_token_us,
                      "longest step that a prompt may cause while others stream");
  command->add_option("--scheduling-policy", o.policy, "fcfs, priority, lpm, round-robin or fair")
      ->capture_default_str();
  command->add_option("--preemption-policy", o.victims, "latest, lowest-priority, least-generated or waiting-score")
      ->capture_default_str();
  command->add_option("--batching", o.batching, "continuous, static or dynamic")->capture_default_str();
  command->add_flag("--json", o.json, "print JSON");
  command->callback([=] { *exit_code = ReportStatus(Simulate(*options)); });
}

}  // namespace millrace
