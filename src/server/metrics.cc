#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace millrace {
namespace {

// vLLM's buckets, with finer first ones: a small model on a CPU answers in milliseconds.
constexpr double kFirstTokenBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,   0.25,  0.5,   0.75,
                                        1.0,   2.5,    5.0,   7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0};
constexpr double kInterTokenBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,  0.15, 0.2,  0.3,
                                        0.4,   0.5,    0.75,  1.0,  2.5,   5.0,  7.5,   10.0, 20.0, 40.0, 80.0};
constexpr double kRequestBounds[] = {0.05, 0.1,  0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,   5.0,    10.0,
                                     15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 1920.0, 7680.0};
constexpr double kTokenBounds[] = {1,    2,    5,    10,    20,    50,    100,    200,    500,
                                   1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000};
constexpr double kNBounds[] = {1, 2, 5, 10, 20, 50, 128};

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

double PerSecond(double amount, int64_t us) {
  return us > 0 ? amount / (static_cast<double>(us) * 1e-6) : 0.0;
}

void AppendPowers(const char* name, const char* help, const PowerHistogram& histogram, const std::string& labels,
                  std::string& page) {
  auto out = std::back_inserter(page);
  fmt::format_to(out, "# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  int64_t total = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    total += histogram.counts[i];
    const std::string bound = i < PowerHistogram::kNumPowers ? fmt::format("{}", 1 << i) : "+Inf";
    fmt::format_to(out, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, total);
  }
  fmt::format_to(out, "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, histogram.sum, total);
}

}  // namespace

void Histogram::Observe(double value, int64_t times) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(bucket)] += times;
  sum_ += value * static_cast<double>(times);
}

void Histogram::Append(const std::string& name, const std::string& help, const std::string& labels,
                       std::string& page) const {
  auto out = std::back_inserter(page);
  fmt::format_to(out, "# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  int64_t total = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    fmt::format_to(out, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, total);
  }
  fmt::format_to(out, "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, sum_, total);
}

Metrics::Metrics(std::string model_name)
    : labels_(fmt::format("model_name=\"{}\"", Escaped(model_name))),
      first_token_(kFirstTokenBounds),
      inter_token_(kInterTokenBounds),
      per_token_(kInterTokenBounds),
      request_(kRequestBounds),
      prompt_tokens_(kTokenBounds),
      generation_tokens_(kTokenBounds),
      params_n_(kNBounds),
      params_max_tokens_(kTokenBounds),
      queue_(kFirstTokenBounds),
      prefill_(kRequestBounds),
      decode_(kRequestBounds),
      inference_(kRequestBounds),
      most_generated_(kTokenBounds) {}

void Metrics::RequestStarted(int num_prompt_tokens, int n, int max_tokens) {
  std::lock_guard lock(mutex_);
  prompt_tokens_.Observe(num_prompt_tokens);
  params_n_.Observe(n);
  if (max_tokens > 0) params_max_tokens_.Observe(max_tokens);
}

void Metrics::FirstToken(double seconds) {
  std::lock_guard lock(mutex_);
  first_token_.Observe(seconds);
}

void Metrics::LeftQueue(double seconds) {
  std::lock_guard lock(mutex_);
  queue_.Observe(seconds);
}

void Metrics::NextTokens(double seconds_since_last, int num_tokens) {
  std::lock_guard lock(mutex_);
  inter_token_.Observe(seconds_since_last / num_tokens, num_tokens);
}

void Metrics::ChoiceFinished(FinishReason reason) {
  std::lock_guard lock(mutex_);
  ++finished_[static_cast<size_t>(reason)];
}

void Metrics::RequestFinished(const FinishedRequest& request) {
  std::lock_guard lock(mutex_);
  request_.Observe(request.seconds);
  if (request.num_generated > 0) {
    const double decode = request.last_token - request.first_token;
    prefill_.Observe(request.first_token - request.left_queue);
    decode_.Observe(decode);
    inference_.Observe(request.last_token - request.left_queue);
    if (request.num_generated > 1) per_token_.Observe(decode / static_cast<double>(request.num_generated - 1));
  }
  generation_tokens_.Observe(static_cast<double>(request.num_generated));
  most_generated_.Observe(static_cast<double>(request.most_generated));
  cached_tokens_ += request.num_cached;
}

void Metrics::HttpReply(const std::string& path, int status) {
  std::lock_guard lock(mutex_);
  ++replies_[{path, status}];
}

void Metrics::AppendRow(const char* type, const CounterRow& row, std::string& page) const {
  fmt::format_to(std::back_inserter(page), "# HELP {0} {1}\n# TYPE {0} {2}\n{0}{{{3}}} {4}\n", row.name, row.help, type,
                 labels_, row.value);
}

std::string Metrics::Render(const Gauges& gauges, const HttpServerStats& http) const {
  const SchedulerStats& s = gauges.engine.scheduler;
  const WorkTotals& work = gauges.engine.work;
  const auto d = [](auto value) { return static_cast<double>(value); };
  const CounterRow rows[] = {
      {"vllm:num_requests_running", "Sequences in the running batch.", d(s.num_running)},
      {"vllm:num_requests_waiting", "Sequences waiting to run.", d(s.num_waiting)},
      {"millrace:num_requests_paused", "Sequences that wait for a client to read what it has.", d(s.num_paused)},
      {"vllm:kv_cache_usage_perc", "Part of the KV blocks in use, 0 to 1.", s.kv_usage},
      {"millrace:open_requests", "Requests accepted and not finished.", d(gauges.open_requests)},
      {"millrace:kv_blocks_free", "KV blocks that hold nothing.", d(s.kv.num_free)},
      {"millrace:kv_blocks_cached", "KV blocks held by the prefix cache alone.", d(s.kv.num_cached)},
      {"millrace:kv_blocks_in_use", "KV blocks of sequences.", d(s.kv.num_in_use)},
      {"millrace:kv_waste_ratio", "Slots without a token, of the blocks in use.", s.kv_waste},
      {"millrace:kv_worst_waste_tokens", "Slots without a token that one sequence holds, at most.",
       d(s.kv_worst_waste)},
      {"millrace:kv_blocks_pinned", "Cached prefix blocks that are pinned.", d(s.kv.prefix.num_pinned_nodes)},
      {"millrace:kv_integrity", "1 while every recount of the KV bookkeeping was right.",
       gauges.engine.integrity_error.empty() ? 1.0 : 0.0},
      {"millrace:step_seconds", "Duration of the last step.", d(gauges.engine.last_step_us) * 1e-6},
      {"millrace:achieved_bytes_per_second", "Weights and KV that the last step read, by its time.",
       PerSecond(d(work.last.read_bytes), gauges.engine.last_step_us)},
      {"millrace:achieved_flops_per_second", "Products with weights of the last step, by its time.",
       PerSecond(work.last.flops, gauges.engine.last_step_us)},
      {"millrace:open_connections", "Open connections.", d(http.open_connections.load())},
  };
  const CounterRow counters[] = {
      {"vllm:prompt_tokens_total", "Prompt tokens of admitted requests.", d(s.prompt_tokens)},
      {"vllm:generation_tokens_total", "Tokens generated.", d(s.generation_tokens)},
      {"vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.", d(s.prefix_cache_queries)},
      {"vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.", d(s.prefix_cache_hits)},
      {"vllm:num_preemptions_total", "Sequences preempted.", d(s.num_preemptions)},
      {"millrace:num_swaps_total", "Preemptions that swapped to host memory; the others recompute.", d(s.num_swaps)},
      {"millrace:prefix_evicted_blocks_total", "Cached blocks evicted.", d(s.kv.prefix.evicted_blocks)},
      {"millrace:kv_integrity_checks_total", "Recounts of the KV bookkeeping while idle.",
       d(gauges.engine.num_integrity_checks)},
      {"millrace:failed_steps_total", "Steps that failed as a whole.", d(gauges.engine.num_failed_steps)},
      {"millrace:steps_total", "Steps of the engine.", d(gauges.engine.num_steps)},
      {"millrace:step_seconds_total", "Time of all steps.", d(work.step_us) * 1e-6},
      {"millrace:read_bytes_total", "Weights and KV that steps read, from their shapes.", d(work.read_bytes)},
      {"millrace:flops_total", "Products with weights, from the steps' shapes.", work.flops},
      {"millrace:connections_total", "Connections accepted.", d(http.accepted.load())},
      {"millrace:connections_refused_total", "Connections beyond the limit.", d(http.refused.load())},
      {"millrace:malformed_requests_total", "Requests that are not valid HTTP or too large.", d(http.malformed.load())},
      {"millrace:request_timeouts_total", "Requests that were sent too slowly.", d(http.timeouts.load())},
      {"millrace:slow_readers_total", "Replies given up because the client did not read.", d(http.slow_readers.load())},
      {"millrace:disconnects_total", "Clients that left before their reply was finished.", d(http.disconnects.load())},
  };
  std::string page;
  for (const CounterRow& row : rows) AppendRow("gauge", row, page);
  for (const CounterRow& row : counters) AppendRow("counter", row, page);
  auto out = std::back_inserter(page);
  fmt::format_to(out, "# HELP vllm:cache_config_info The KV cache.\n# TYPE vllm:cache_config_info gauge\n");
  fmt::format_to(out, "vllm:cache_config_info{{{},block_size=\"{}\",num_gpu_blocks=\"{}\",max_model_len=\"{}\"}} 1\n",
                 labels_, kKvBlockTokens, gauges.num_blocks, gauges.max_model_len);
  AppendPowers("millrace:batch_size", "Sequences of a step.", work.rows, labels_, page);
  AppendPowers("vllm:iteration_tokens_total", "Tokens of a step.", work.tokens, labels_, page);
  std::lock_guard lock(mutex_);
  AppendRow("counter",
            {"vllm:prompt_tokens_cached_total", "Prompt tokens found in the prefix cache, of finished requests.",
             d(cached_tokens_)},
            page);
  fmt::format_to(out,
                 "# HELP vllm:request_success_total Finished sequences.\n# TYPE vllm:request_success_total counter\n");
  for (size_t i = 1; i < finished_.size(); ++i) {
    fmt::format_to(out, "vllm:request_success_total{{{},finished_reason=\"{}\"}} {}\n", labels_,
                   FinishReasonName(static_cast<FinishReason>(i)), finished_[i]);
  }
  first_token_.Append("vllm:time_to_first_token_seconds", "From the request to its first token.", labels_, page);
  queue_.Append("vllm:request_queue_time_seconds", "From the request to its first row in a step.", labels_, page);
  prefill_.Append("vllm:request_prefill_time_seconds", "From a request's first row in a step to its first token.",
                  labels_, page);
  decode_.Append("vllm:request_decode_time_seconds", "From a request's first token to its last.", labels_, page);
  inference_.Append("vllm:request_inference_time_seconds", "From a request's first row in a step to its last token.",
                    labels_, page);
  inter_token_.Append("vllm:inter_token_latency_seconds", "Between tokens.", labels_, page);
  per_token_.Append("vllm:request_time_per_output_token_seconds", "Mean time per token after the first, by request.",
                    labels_, page);
  request_.Append("vllm:e2e_request_latency_seconds", "From the request to its end.", labels_, page);
  prompt_tokens_.Append("vllm:request_prompt_tokens", "Prompt tokens by request.", labels_, page);
  generation_tokens_.Append("vllm:request_generation_tokens", "Generated tokens by request.", labels_, page);
  most_generated_.Append("vllm:request_max_num_generation_tokens", "Generated tokens of a request's longest choice.",
                         labels_, page);
  params_n_.Append("vllm:request_params_n", "The parameter n.", labels_, page);
  params_max_tokens_.Append("vllm:request_params_max_tokens", "The parameter max_tokens.", labels_, page);
  fmt::format_to(
      out,
      "# HELP millrace:http_replies_total Replies by path and status.\n# TYPE millrace:http_replies_total counter\n");
  for (const auto& [key, count] : replies_) {
    fmt::format_to(out, "millrace:http_replies_total{{path=\"{}\",status=\"{}\"}} {}\n", Escaped(key.first), key.second,
                   count);
  }
  return page;
}

}  // namespace millrace
