// The list of rope_kv_write kernels. Internal to this folder, its tests and benchmarks.
#pragma once

#include "kernels/attention/kv_layout.h"
#include "kernels/isa.h"
#include "kernels/rope_kv_write/rope_kv_write.h"

namespace millrace::kernels {

// Does tokens [begin, end) of the step, all of `row`, whose slots lie in one block.
using RopeKvWriteKernel = void(const RopeKvWriteArgs& args, const KvLayout& layout, int row, int begin, int end);

#define X(isa, function) RopeKvWriteKernel function;
#include "kernels/rope_kv_write/rope_kv_write_kernels.inc"
#undef X

// The kernel of an ISA that IsaAvailable accepts.
RopeKvWriteKernel* GetRopeKvWriteKernel(Isa isa);

// RopeKvWriteCpu with a given kernel.
void RunRopeKvWrite(RopeKvWriteKernel* kernel, OpContext* context, const RopeKvWriteArgs& args);

// The definition in double precision, one value at a time; for tests.
void RopeKvWriteRef(const RopeKvWriteArgs& args);

}  // namespace millrace::kernels
