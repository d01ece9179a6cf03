#include "runtime/step_inputs.h"

namespace millrace {

Result<StepInputs> StepInputs::Create(const DeviceMemory* memory, int64_t size_bytes) {
  StepInputs inputs;
  if (memory == nullptr) return inputs;
  inputs.memory_ = memory;
  ASSIGN_OR_RETURN(inputs.device_, Buffer::Allocate(size_bytes, memory));
  inputs.pinned_ = {static_cast<std::byte*>(memory->allocate_pinned(size_bytes)), PinnedRelease{memory}};
  if (inputs.pinned_ == nullptr) return ResourceExhausted("cannot pin {} bytes of host memory for the GPU", size_bytes);
  return inputs;
}

void StepInputs::Flush(void* stream) {
  if (memory_ != nullptr && used_ > sent_)
    memory_->copy(stream, device_.data() + sent_, pinned_.get() + sent_, used_ - sent_);
  sent_ = used_;
}

}  // namespace millrace
