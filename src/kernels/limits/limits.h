// What this machine can do at most, measured in the same process as whatever is compared with it.
#pragma once

#include "base/thread_pool.h"
#include "kernels/isa.h"

namespace millrace::kernels {

// Over all threads of a pool. An operation is a multiplication or an addition. 0: the ISA has no such instruction.
struct MachineLimits {
  double read_gb_per_s = 0.0;    // sequential, from DRAM (buffers of 512 MiB in all)
  double f32_gflop_per_s = 0.0;  // fused multiply-add
  double bf16_gflop_per_s = 0.0;
  double int8_gop_per_s = 0.0;
};

// Best of several short runs each; about 0.5 s in all. The read buffer is freed before this returns. `cpu_time` counts
// the processor time of the calling thread instead of the clock on the wall: for a pool of one thread on a busy
// machine.
MachineLimits MeasureLimits(ThreadPool& pool, Isa isa, bool cpu_time = false);
// The first of them alone, GB/s: a shared machine's bandwidth changes within seconds, so it is measured beside what is
// compared with it.
double MeasureReadRate(ThreadPool& pool, Isa isa, bool cpu_time = false);

// Loops of one instruction on registers, for one thread. Operations of one iteration in ops_per_iteration.
struct PeakLoop {
  void (*run)(long iterations) = nullptr;
  double ops_per_iteration = 0.0;
};
struct PeakLoops {
  PeakLoop f32, bf16, int8;
  // Reads `bytes` (a multiple of 4096) once and returns a word that depends on all of them.
  long (*read)(const void* data, long bytes) = nullptr;
};
extern const PeakLoops kPeakLoopsAvx512;
extern const PeakLoops kPeakLoopsAvx2;
extern const PeakLoops kPeakLoopsGeneric;

}  // namespace millrace::kernels
