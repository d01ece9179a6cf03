// Instruction sets that kernels are written for, and the choice made once at load.
#pragma once

#include "base/status.h"

namespace millrace::kernels {

enum class Isa : int {
  kGeneric = 0,  // portable C++; also the shape of the reference
  kAvx2 = 1,     // AVX2 + FMA + F16C
  kAvx512 = 2,   // AVX-512 F, BW, VL, DQ, VBMI, VNNI, BF16 (Zen 4 and newer, Sapphire Rapids and newer)
};

const char* IsaName(Isa isa);  // "generic", "avx2", "avx512"

// True when this processor and system can run kernels of that ISA.
bool IsaAvailable(Isa isa);

// The best available ISA, or the one that the environment variable MILLRACE_FORCE_ISA names; kUnsupported when that one
// is unknown or can't run here.
Result<Isa> SelectIsa();

}  // namespace millrace::kernels
