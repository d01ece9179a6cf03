// StepObserver: who wants to see every step of a runner, to measure it or, in tests, to make it fail.
#pragma once

#include <cstdint>

#include "core/batch.h"

namespace millrace {

// Both are called on the runner's thread.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  // After the batch's copies, before its tokens. An exception fails the step.
  virtual void BeforeStep(const Batch& batch) = 0;
  virtual void AfterStep(const Batch& batch, int64_t step_us) = 0;
};

}  // namespace millrace
