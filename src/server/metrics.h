// Metrics: what the server counts, in Prometheus' text format with vLLM's names, so that its dashboards work.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/request.h"
#include "engine/engine.h"
#include "server/http/http_server.h"

namespace millrace {

class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}
  void Observe(double value, int64_t times = 1);
  void Append(const std::string& name, const std::string& help, const std::string& labels, std::string& page) const;

 private:
  std::span<const double> bounds_;  // ascending; static
  std::vector<int64_t> counts_;     // of each interval, the last is beyond all bounds
  double sum_ = 0.0;
};

// Thread-safe: each call takes one lock.
class Metrics {
 public:
  explicit Metrics(std::string model_name);

  void RequestStarted(int num_prompt_tokens, int n, int max_tokens);
  void FirstToken(double seconds);
  void LeftQueue(double seconds);
  void NextTokens(double seconds_since_last, int num_tokens);
  void ChoiceFinished(FinishReason reason);
  struct FinishedRequest {
    double seconds = 0.0;  // from the request to its end; the next three are times after the request too
    double left_queue = 0.0;
    double first_token = 0.0;
    double last_token = 0.0;
    int64_t num_generated = 0;   // of all choices
    int64_t most_generated = 0;  // of one choice
    int num_cached = 0;
  };
  void RequestFinished(const FinishedRequest& request);
  void HttpReply(const std::string& path, int status);

  struct Gauges {
    EngineStats engine;
    int64_t open_requests = 0;
    int64_t num_blocks = 0;
    int max_model_len = 0;
  };
  std::string Render(const Gauges& gauges, const HttpServerStats& http) const;

 private:
  struct CounterRow {
    const char* name;
    const char* help;
    double value;
  };
  void AppendRow(const char* type, const CounterRow& row, std::string& page) const;

  const std::string labels_;
  mutable std::mutex mutex_;
  Histogram first_token_, inter_token_, per_token_, request_, prompt_tokens_, generation_tokens_, params_n_,
      params_max_tokens_, queue_, prefill_, decode_, inference_, most_generated_;
  std::array<int64_t, 6> finished_{};  // by FinishReason
  int64_t cached_tokens_ = 0;
  std::map<std::pair<std::string, int>, int64_t> replies_;
};

}  // namespace millrace
