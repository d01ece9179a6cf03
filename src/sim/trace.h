// Traces of requests: when each came, how long its prompt and its answer were, and, where the trace says so, which
// parts of the prompt it shares with others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "core/ids.h"

namespace millrace::sim {

struct TraceRequest {
  int64_t arrival_us = 0;  // since the first request
  int num_prompt_tokens = 0;
  int num_output_tokens = 0;
  // Equal ids at equal places mean equal tokens: the ids of the prompt's runs of `unit_tokens` tokens, the last one
  // partial. Empty: the prompt shares nothing.
  std::vector<uint32_t> prefix_ids;
};

struct Trace {
  std::string name;
  int unit_tokens = 512;
  std::vector<TraceRequest> requests;  // by arrival
};

// Reads the Azure LLM inference trace ("TIMESTAMP,ContextTokens,GeneratedTokens", within one day) or a Mooncake trace
// (JSON lines with timestamp in ms, input_length, output_length, hash_ids of 512 tokens each). At most max_requests (0:
// 10^6), each of at most 2^20 tokens. kInvalidArgument names the line.
Result<Trace> LoadTrace(const std::string& path, int64_t max_requests = 0);
Result<Trace> ParseTrace(std::string_view text, int64_t max_requests = 0);

// Times and lengths multiplied by these: below 1 they bring a trace of big models down to a small machine. unit_tokens
// is scaled like the lengths.
struct TraceScale {
  double time = 1.0;    // 1e-6 to 1e3
  double length = 1.0;  // 1e-6 to 1e3
};
// tokens * scale rounded up, 1 to 2^20.
int ScaledLength(double tokens, double scale);
void ScaleTrace(const TraceScale& scale, Trace* trace);

// The prompt of request number `index`: the same tokens wherever the ids are the same, tokens of its own elsewhere. In
// [3, vocab).
std::vector<TokenId> PromptTokens(const Trace& trace, size_t index, int vocab);

}  // namespace millrace::sim
