// What a run of `bench serve` says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench_serve.h"

namespace millrace {

struct ServeSummary {
  double mean = 0.0, p50 = 0.0, p90 = 0.0, p99 = 0.0, max = 0.0;  // 0 without values
};

struct ServeReport {
  int num_requests = 0, num_completed = 0, num_refused = 0, num_failed = 0, num_good = 0;  // refused: 429 and 503
  int num_retry_after = 0;                                                                 // of the refused
  double duration_s = 0.0;                                          // from the first request to the last reply
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;  // of completed requests
  ServeSummary ttft_ms, tpot_ms, itl_ms, e2e_ms, refusal_ms;
  std::vector<std::string> errors;  // different ones, at most 5
};

// Values between ranks are interpolated, as numpy does.
double Percentile(const std::vector<double>& sorted, double percent);

ServeReport MakeReport(const std::vector<RequestRecord>& records, const ServeSlo& slo);
void PrintReport(const ServeReport& report, const ServeSlo& slo);
// With the names of vLLM's `bench serve`.
nlohmann::ordered_json ReportJson(const ServeBenchOptions& options, const ServeTarget& target,
                                  const ServeReport& report);

// Four plots: distribution of time to first token, of time per token, tokens a second over time, requests over time.
std::string ServePlots(const std::string& title, const std::vector<RequestRecord>& records);

}  // namespace millrace
