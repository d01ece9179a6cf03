// The CUDA table of kernels/op_table.h.
#pragma once

#include "kernels/op_table.h"

namespace millrace::cuda {

// Of the current device; in tests of the emulator.
const kernels::OpTable& CudaOpTable();

}  // namespace millrace::cuda
