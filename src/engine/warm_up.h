// WarmUp: a first request that nobody waits for.
#pragma once

#include "base/status.h"
#include "runtime/model_runner.h"
#include "scheduler/scheduler_config.h"

namespace millrace {

// Computes a prompt and two tokens, so that code, weights and memory have been touched before a user's first request:
// as long a prompt as takes some 20 ms. Before any other step; leaves nothing behind but KV that nobody refers to.
// kInternal: the model can't compute.
Status WarmUp(const SchedulerConfig& config, ModelRunner& runner);

}  // namespace millrace
