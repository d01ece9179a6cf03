#include "kernels/isa.h"

#include <cstdlib>
#include <string_view>

namespace millrace::kernels {

const char* IsaName(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return "generic";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  CHECK(false, "unknown ISA");
}

bool IsaAvailable(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kGeneric:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    case Isa::kAvx512:
      return IsaAvailable(Isa::kAvx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
             __builtin_cpu_supports("avx512bf16");
  }
#endif
  return isa == Isa::kGeneric;
}

Result<Isa> SelectIsa() {
  const char* forced = std::getenv("MILLRACE_FORCE_ISA");
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kGeneric}) {
    if (forced == nullptr || *forced == '\0') {
      if (IsaAvailable(isa)) return isa;
    } else if (std::string_view(forced) == IsaName(isa)) {
      if (IsaAvailable(isa)) return isa;
      return Unsupported("MILLRACE_FORCE_ISA is {}, which this processor can't run", forced);
    }
  }
  return Unsupported("MILLRACE_FORCE_ISA is {}, expected avx512, avx2 or generic", forced == nullptr ? "" : forced);
}

}  // namespace millrace::kernels
