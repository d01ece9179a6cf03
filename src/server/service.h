// Service: what every endpoint works with: the model, its template and output format, counters and limits.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "chat/conversation.h"
#include "chat/output_format.h"
#include "engine/engine.h"
#include "server/grammar_fields.h"
#include "server/metrics.h"
#include "server/response_store.h"

namespace millrace {

struct ServiceOptions {
  std::string served_model_name;  // "": the checkpoint's name
  std::string chat_template;      // source; "": the checkpoint's
  std::string tool_call_parser = "auto";
  std::string reasoning_parser = "auto";
  int max_open_sequences = 1024;  // running and waiting; beyond, 429
  bool strict_fields = false;
  ResponseStoreOptions response_store;
  int64_t stall_timeout_us = 120'000'000;  // without a step while requests are open: /health says so
};

// Immutable but for the counters. Outlives every request.
class Service {
 public:
  static Result<std::unique_ptr<Service>> Create(Engine& engine, const ServiceOptions& options);

  Engine& engine;
  const ServiceOptions options;
  const std::string model_name;
  const std::string& chat_template;  // source; "" when there is none
  const int64_t created_s;           // Unix time of the start
  PromptBuilder builder;
  OutputFormat format;
  bool format_needs_special_tokens = false;  // markers of the format are control tokens
  bool template_knows_developer = false;     // the role "developer" is rendered as it is
  Metrics metrics;
  mutable GrammarCache grammars;
  ResponseStore responses;
  std::atomic<bool> draining{false};

  // Takes room for sequences; false when max_open_sequences would be passed.
  bool Reserve(int num_sequences);
  void Release(int num_sequences);
  // So many more, or fewer, of the open sequences are paused.
  void CountPaused(int num_sequences);
  int open_sequences() const { return open_sequences_.load(std::memory_order_relaxed); }
  bool overloaded() const { return open_sequences() >= options.max_open_sequences; }
  // Microseconds since the engine made progress while it had something to do; 0 when idle or all is paused.
  int64_t StalledUs() const;

 private:
  Service(Engine& engine, const ServiceOptions& options, PromptBuilder builder);

  std::atomic<int> open_sequences_{0}, paused_sequences_{0};
  std::atomic<int64_t> busy_since_us_{0};
};

}  // namespace millrace
