// bench --engine: requests through the whole engine, all at once or as a trace has them.
#pragma once

#include <string>

#include "engine/engine.h"
#include "sim/trace.h"

namespace millrace {

struct EngineBenchOptions {
  EngineOptions engine;
  int num_requests = 32, prompt_tokens = 128, output_tokens = 128;  // all at once
  std::string trace;                                                // or these
  int64_t max_requests = 0;
  sim::TraceScale scale;
  std::string steps_out;  // where the measured steps go, for simulate --cost
  bool json = false;
};

// Prints throughput, latencies and where the time went.
Status RunEngineBench(const EngineBenchOptions& options);

}  // namespace millrace
