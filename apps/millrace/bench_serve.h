// `millrace bench serve`: puts load on a server that speaks OpenAI's API, ours or another, and measures what it
// answers.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/status.h"
#include "sim/trace.h"

namespace CLI {
class App;
}

namespace millrace {

// Adds `serve` below `bench`; as the functions of commands.h.
void AddBenchServeCommand(CLI::App& bench, int* exit_code);

// Limits of a good request; infinity: none.
struct ServeSlo {
  double ttft_ms = std::numeric_limits<double>::infinity();
  double tpot_ms = std::numeric_limits<double>::infinity();
  double e2e_ms = std::numeric_limits<double>::infinity();
  bool set = false;
};

struct ServeBenchOptions {
  std::string url = "http://127.0.0.1:8000";
  std::string endpoint = "completions";  // or "chat"
  std::string model;                     // "": the first that the server lists
  std::string api_key;
  std::string prompts = "synthetic";  // or "sharegpt-like", "shared-prefix"
  std::string trace;                  // a file; prompts and arrivals come from it
  double rate = 0.0;                  // requests a second, exponential gaps; 0: no rate
  int concurrency = 0;                // closed loop of this many; 0 with no rate: all at once
  int num_prompts = 100;
  int input_len = 128, output_len = 64, prefix_len = 512;  // tokens
  double spread = 0.0;    // lengths are uniform in [1 - spread, 1 + spread] times the above
  sim::TraceScale scale;  // of a trace; lengths of sharegpt-like too
  int max_len = 0;        // tokens of prompt and answer; longer requests are clipped; 0: the server's
  double temperature = 0.0;
  bool ignore_eos = true;
  uint64_t seed = 0;
  double timeout_s = 600.0;
  ServeSlo slo;
  std::string json, svg;
};

// Words to make from a seed: requests with equal pieces at the front share a prefix.
struct PromptPiece {
  uint64_t seed = 0;
  int num_tokens = 0;
};

struct PlannedRequest {
  double at_s = 0.0;  // after the start; unused in a closed loop
  std::vector<PromptPiece> pieces;
  int output_len = 1;
  int input_len() const;
};

// What happened to one request. Times are seconds after the start of the run.
struct RequestRecord {
  double start_s = 0.0;  // when it was due: lateness of this client counts against nobody else
  double end_s = 0.0;
  int status = 0;  // of HTTP; 0: no reply
  bool has_retry_after = false;
  std::string error;            // "": complete
  std::vector<double> event_s;  // of each event with text
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;

  bool ok() const { return error.empty(); }
  double ttft_ms() const { return (event_s.front() - start_s) * 1e3; }
  double e2e_ms() const { return (end_s - start_s) * 1e3; }
  // Mean time per token after the first; negative with one token.
  double tpot_ms() const;
};

// The requests of a run, in order of arrival. kInvalidArgument: the trace can't be read or makes no sense.
Result<std::vector<PlannedRequest>> PlanRequests(const ServeBenchOptions& options);

// Clips prompts, then answers, to max_len tokens in all; how many requests were changed.
int ClipRequests(int max_len, std::vector<PlannedRequest>& requests);

// Text of about the wanted number of tokens.
std::string PromptText(const PlannedRequest& request, double tokens_per_word);

// What the load is put on, asked of the server before the run.
struct ServeTarget {
  std::string model;
  int max_model_len = 0;         // 0: the server doesn't say
  double tokens_per_word = 1.3;  // of PromptText's words with the server's tokenizer
};
Result<ServeTarget> ProbeServer(const ServeBenchOptions& options);

// Runs the load; one thread. Progress goes to standard error when that is a terminal.
std::vector<RequestRecord> RunServeLoad(const ServeBenchOptions& options, const ServeTarget& target,
                                        const std::vector<PlannedRequest>& requests);

}  // namespace millrace
