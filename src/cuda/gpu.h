// The few calls of the CUDA runtime that the host code makes; gpu_cuda.cc does them on a GPU, gpu_emulated.cc on the
// host for tests.
#pragma once

#include <cstdint>

#include "tensor/device_memory.h"

namespace millrace::cuda::gpu {

const DeviceMemory* Memory();

// Copies host memory to the device; done, or handed to the driver, when it returns.
void Upload(void* to, const void* from, int64_t size_bytes);
bool Synchronize(void* stream, char* error, int error_bytes);

}  // namespace millrace::cuda::gpu
