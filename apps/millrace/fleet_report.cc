#include "fleet_report.h"

#include <fmt/format.h>

namespace millrace {
namespace {

nlohmann::ordered_json ToJson(const sim::Percentiles& p) {
  return {{"mean", p.mean}, {"p50", p.p50}, {"p90", p.p90}, {"p99", p.p99}};
}

void PrintLine(const char* what, const sim::Percentiles& p) {
  fmt::print("{:<22} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f}\n", what, p.mean, p.p50, p.p90, p.p99);
}

}  // namespace

nlohmann::ordered_json FleetReportToJson(const sim::FleetReport& r) {
  return {{"instances", r.num_instances},     {"requests", r.num_requests},
          {"refused", r.num_refused},         {"seconds", r.seconds},
          {"busy_fraction", r.busy_fraction}, {"output_tokens_per_second", r.output_tokens_per_s},
          {"hit_rate", r.hit_rate},           {"preemptions", r.num_preemptions},
          {"prompt_tokens", r.prompt_tokens}, {"output_tokens", r.output_tokens},
          {"queue_ms", ToJson(r.queue_ms)},   {"ttft_ms", ToJson(r.ttft_ms)},
          {"tpot_ms", ToJson(r.tpot_ms)},     {"e2e_ms", ToJson(r.e2e_ms)}};
}

void PrintFleetReport(const sim::FleetReport& r) {
  fmt::print(
      "{} requests over {} instance{} in {:.1f} s: {:.1f} output tokens/s, busy {:.0f} %, {:.1f} % of the prompt "
      "tokens from the cache, "
      "{} preemptions, {} refused\n",
      r.num_requests, r.num_instances, r.num_instances == 1 ? "" : "s", r.seconds, r.output_tokens_per_s,
      100 * r.busy_fraction, 100 * r.hit_rate, r.num_preemptions, r.num_refused);
  fmt::print("{:<22} {:>10} {:>10} {:>10} {:>10}\n", "milliseconds", "mean", "p50", "p90", "p99");
  PrintLine("in the queue", r.queue_ms);
  PrintLine("to the first token", r.ttft_ms);
  PrintLine("per token after it", r.tpot_ms);
  PrintLine("to the last token", r.e2e_ms);
}

}  // namespace millrace
