// The command.
#include <fmt/format.h>

#include <cstdlib>

#include "base/file.h"
#include "bench_serve_report.h"
#include "commands.h"

namespace millrace {
namespace {

// "ttft=500,tpot=50": milliseconds.
Status ParseSlo(const std::vector<std::string>& limits, ServeSlo* slo) {
  for (const std::string& limit : limits) {
    const size_t equals = limit.find('=');
    const std::string name = limit.substr(0, equals);
    double* const target = name == "ttft"   ? &slo->ttft_ms
                           : name == "tpot" ? &slo->tpot_ms
                           : name == "e2e"  ? &slo->e2e_ms
                                            : nullptr;
    char* end = nullptr;
    const double value = equals == std::string::npos ? 0.0 : std::strtod(limit.c_str() + equals + 1, &end);
    if (target == nullptr || end == nullptr || *end != '\0' || !(value > 0)) {
      return InvalidArgument("--slo has {}, expected ttft=MS, tpot=MS or e2e=MS", limit);
    }
    *target = value;
    slo->set = true;
  }
  return OkStatus();
}

Status RunServeBench(ServeBenchOptions options, const std::vector<std::string>& slo) {
  RETURN_IF_ERROR(ParseSlo(slo, &options.slo));
  while (options.url.ends_with('/')) options.url.pop_back();
  if (options.url.ends_with("/v1")) options.url.resize(options.url.size() - 3);
  if (const char* key = std::getenv("MILLRACE_API_KEY"); options.api_key.empty() && key != nullptr)
    options.api_key = key;
  ASSIGN_OR_RETURN(std::vector<PlannedRequest> requests, PlanRequests(options));
  ASSIGN_OR_RETURN(const ServeTarget target, ProbeServer(options));
  const int max_len = options.max_len > 0 ? options.max_len : target.max_model_len;
  // Words are whole numbers of tokens only on average, and a chat template adds some.
  constexpr int kMargin = 32;
  const int num_clipped = max_len > 2 * kMargin ? ClipRequests(max_len - kMargin - max_len / 20, requests) : 0;
  if (num_clipped > 0)
    fmt::print(stderr, "{} of {} requests are clipped to {} tokens (--max-len)\n", num_clipped, requests.size(),
               max_len);
  const std::vector<RequestRecord> records = RunServeLoad(options, target, requests);
  const ServeReport report = MakeReport(records, options.slo);
  PrintReport(report, options.slo);
  if (!options.json.empty()) {
    nlohmann::ordered_json out = ReportJson(options, target, report);
    out["clipped"] = num_clipped;
    RETURN_IF_ERROR(WriteFileAtomic(options.json, out.dump(2) + "\n"));
  }
  if (!options.svg.empty()) {
    const std::string load = options.concurrency > 0  ? fmt::format("{} at once", options.concurrency)
                             : !options.trace.empty() ? fmt::format("a trace, time x {}", options.scale.time)
                             : options.rate > 0       ? fmt::format("{} requests a second", options.rate)
                                                      : "all at once";
    RETURN_IF_ERROR(WriteFileAtomic(
        options.svg, ServePlots(fmt::format("{}: {} requests, {}", target.model, report.num_requests, load), records)));
  }
  return report.num_completed > 0 ? OkStatus() : Unavailable("no request was completed");
}

}  // namespace

void AddBenchServeCommand(CLI::App& bench, int* exit_code) {
  auto options = std::make_shared<ServeBenchOptions>();
  auto slo = std::make_shared<std::vector<std::string>>();
  CLI::App* command = bench.add_subcommand("serve", "Measure a running server: any with OpenAI's API");
  ServeBenchOptions& o = *options;
  command->add_option("--url", o.url, "where it listens")->capture_default_str();
  command->add_option("--endpoint", o.endpoint, "completions or chat")
      ->check(CLI::IsMember({"completions", "chat"}))
      ->capture_default_str();
  command->add_option("--model", o.model, "default: the first that the server lists");
  command->add_option("--api-key", o.api_key, "also MILLRACE_API_KEY");
  CLI::Option* const rate = command->add_option("--rate", o.rate, "open loop: requests a second, at random moments")
                                ->check(CLI::Range(1e-6, 1e6));
  command->add_option("--concurrency", o.concurrency, "closed loop: this many at once")
      ->check(CLI::Range(1, 100000))
      ->excludes(rate);
  command->add_option("--trace", o.trace, "arrivals and lengths from an Azure .csv or Mooncake .jsonl trace")
      ->check(CLI::ExistingFile)
      ->excludes(rate);
  AddTraceScaleOptions(*command, &o.scale);
  command
      ->add_option("--prompts", o.prompts,
                   "synthetic (fixed lengths), sharegpt-like (log-normal lengths) or shared-prefix")
      ->check(CLI::IsMember({"synthetic", "sharegpt-like", "shared-prefix"}))
      ->capture_default_str();
  command->add_option("-n,--num-prompts", o.num_prompts, "requests; of a trace at most")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--input-len", o.input_len, "prompt tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--output-len", o.output_len, "generated tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--prefix-len", o.prefix_len,
                   "shared tokens before those of --input-len, with --prompts shared-prefix")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--spread", o.spread, "lengths vary by this part, uniformly")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--max-len", o.max_len, "clip requests to this many tokens (default: the server's context)")
      ->check(CLI::Range(65, 1 << 24));
  command->add_option("--temperature", o.temperature)->check(CLI::Range(0.0, 100.0))->capture_default_str();
  command->add_flag("--ignore-eos,!--no-ignore-eos", o.ignore_eos,
                    "every answer has its full length (not part of OpenAI's API)");
  command->add_option("--seed", o.seed, "of prompts, lengths and arrivals")->capture_default_str();
  command->add_option("--timeout", o.timeout_s, "seconds for a request")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command->add_option("--slo", *slo, "limits of a good request in ms: ttft=500,tpot=50,e2e=5000")->delimiter(',');
  command->add_option("--json", o.json, "write the result to this file, with the names of vLLM's bench serve");
  command->add_option("--svg", o.svg, "write plots to this file");
  command->callback([=] { *exit_code = ReportStatus(RunServeBench(*options, *slo)); });
}

}  // namespace millrace
