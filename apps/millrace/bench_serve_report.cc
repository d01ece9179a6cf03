#include "bench_serve_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace millrace {
namespace {

constexpr size_t kMaxErrorsShown = 5;

ServeSummary Summarize(std::vector<double> values) {
  ServeSummary summary;
  if (values.empty()) return summary;
  std::sort(values.begin(), values.end());
  summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  summary.p50 = Percentile(values, 50);
  summary.p90 = Percentile(values, 90);
  summary.p99 = Percentile(values, 99);
  summary.max = values.back();
  return summary;
}

bool IsGood(const RequestRecord& record, const ServeSlo& slo) {
  return record.ok() && record.ttft_ms() <= slo.ttft_ms && record.tpot_ms() <= slo.tpot_ms &&
         record.e2e_ms() <= slo.e2e_ms;
}

double PerSecond(double value, const ServeReport& report) {
  return report.duration_s > 0 ? value / report.duration_s : 0.0;
}

// Infinity has no JSON.
nlohmann::ordered_json Limit(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

double RequestRecord::tpot_ms() const {
  if (output_tokens < 2 || event_s.empty()) return -1.0;
  return (event_s.back() - event_s.front()) * 1e3 / static_cast<double>(output_tokens - 1);
}

double Percentile(const std::vector<double>& sorted, double percent) {
  const double rank = percent / 100.0 * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(rank);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (rank - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

ServeReport MakeReport(const std::vector<RequestRecord>& records, const ServeSlo& slo) {
  ServeReport report;
  report.num_requests = static_cast<int>(records.size());
  std::vector<double> ttft, tpot, itl, e2e, refusal;
  double first = records.empty() ? 0.0 : records.front().start_s, last = first;
  for (const RequestRecord& record : records) {
    first = std::min(first, record.start_s);
    last = std::max(last, record.end_s);
    if (record.status == 429 || record.status == 503) {
      ++report.num_refused;
      report.num_retry_after += record.has_retry_after ? 1 : 0;
      refusal.push_back(record.e2e_ms());
      continue;
    }
    if (!record.ok()) {
      ++report.num_failed;
      const bool is_new = std::find(report.errors.begin(), report.errors.end(), record.error) == report.errors.end();
      if (is_new && report.errors.size() < kMaxErrorsShown) report.errors.push_back(record.error);
      continue;
    }
    ++report.num_completed;
    report.num_good += IsGood(record, slo) ? 1 : 0;
    report.prompt_tokens += record.prompt_tokens;
    report.cached_tokens += record.cached_tokens;
    report.output_tokens += record.output_tokens;
    ttft.push_back(record.ttft_ms());
    e2e.push_back(record.e2e_ms());
    if (record.tpot_ms() >= 0) tpot.push_back(record.tpot_ms());
    for (size_t i = 1; i < record.event_s.size(); ++i) itl.push_back((record.event_s[i] - record.event_s[i - 1]) * 1e3);
  }
  report.duration_s = last - first;
  report.ttft_ms = Summarize(std::move(ttft));
  report.tpot_ms = Summarize(std::move(tpot));
  report.itl_ms = Summarize(std::move(itl));
  report.e2e_ms = Summarize(std::move(e2e));
  report.refusal_ms = Summarize(std::move(refusal));
  return report;
}

void PrintReport(const ServeReport& report, const ServeSlo& slo) {
  fmt::print("{} completed, {} refused (429, 503; {} with Retry-After), {} failed in {:.2f} s\n", report.num_completed,
             report.num_refused, report.num_retry_after, report.num_failed, report.duration_s);
  for (const std::string& error : report.errors) fmt::print("  failed: {}\n", error);
  fmt::print(
      "{:.2f} requests/s, {:.1f} output tokens/s, {:.1f} prompt tokens/s ({} prompt tokens, {} of them cached; {} "
      "output tokens)\n",
      PerSecond(report.num_completed, report), PerSecond(static_cast<double>(report.output_tokens), report),
      PerSecond(static_cast<double>(report.prompt_tokens), report), report.prompt_tokens, report.cached_tokens,
      report.output_tokens);
  if (slo.set) {
    fmt::print("goodput {:.2f} requests/s: {} of {} within the limits\n", PerSecond(report.num_good, report),
               report.num_good, report.num_requests);
  }
  fmt::print("\n{:24} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "ms", "mean", "p50", "p90", "p99", "max");
  const auto row = [](const char* name, const ServeSummary& s) {
    fmt::print("{:24} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f}\n", name, s.mean, s.p50, s.p90, s.p99, s.max);
  };
  row("time to first token", report.ttft_ms);
  row("time per output token", report.tpot_ms);
  row("inter-token latency", report.itl_ms);
  row("end to end", report.e2e_ms);
  if (report.num_refused > 0) row("refusal", report.refusal_ms);
}

nlohmann::ordered_json ReportJson(const ServeBenchOptions& options, const ServeTarget& target,
                                  const ServeReport& report) {
  nlohmann::ordered_json out = {
      {"url", options.url},
      {"endpoint", options.endpoint},
      {"model_id", target.model},
      {"prompts", options.trace.empty() ? options.prompts : options.trace},
      {"request_rate", options.rate > 0 ? nlohmann::ordered_json(options.rate) : nlohmann::ordered_json(nullptr)},
      {"max_concurrency",
       options.concurrency > 0 ? nlohmann::ordered_json(options.concurrency) : nlohmann::ordered_json(nullptr)},
      {"seed", options.seed},
      {"num_prompts", report.num_requests},
      {"duration", report.duration_s},
      {"completed", report.num_completed},
      {"refused", report.num_refused},
      {"refused_with_retry_after", report.num_retry_after},
      {"failed", report.num_failed},
      {"errors", report.errors},
      {"total_input_tokens", report.prompt_tokens},
      {"total_cached_tokens", report.cached_tokens},
      {"total_output_tokens", report.output_tokens},
      {"request_throughput", PerSecond(report.num_completed, report)},
      {"output_throughput", PerSecond(static_cast<double>(report.output_tokens), report)},
      {"total_token_throughput", PerSecond(static_cast<double>(report.prompt_tokens + report.output_tokens), report)},
      {"slo_ms",
       {{"ttft", Limit(options.slo.ttft_ms)},
        {"tpot", Limit(options.slo.tpot_ms)},
        {"e2e", Limit(options.slo.e2e_ms)}}},
      {"good", report.num_good},
      {"request_goodput", PerSecond(report.num_good, report)},
  };
  const auto add = [&](const std::string& name, const ServeSummary& summary) {
    out["mean_" + name + "_ms"] = summary.mean;
    out["median_" + name + "_ms"] = summary.p50;
    out["p90_" + name + "_ms"] = summary.p90;
    out["p99_" + name + "_ms"] = summary.p99;
    out["max_" + name + "_ms"] = summary.max;
  };
  add("ttft", report.ttft_ms);
  add("tpot", report.tpot_ms);
  add("itl", report.itl_ms);
  add("e2el", report.e2e_ms);
  add("refusal", report.refusal_ms);
  return out;
}

}  // namespace millrace
