#include <iterator>

#include "base/check.h"
#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

#define MILLRACE_LINEAR_ISA(isa, symbol)
#define MILLRACE_LINEAR_KERNEL(isa, dtype, symbol) {Isa::isa, DType::dtype, #symbol, &symbol},
constexpr ListedKernel kKernels[] = {
#include "kernels/linear/linear_kernels.inc"
};
#undef MILLRACE_LINEAR_ISA
#undef MILLRACE_LINEAR_KERNEL

#define MILLRACE_LINEAR_ISA(isa, symbol) &symbol,
#define MILLRACE_LINEAR_KERNEL(isa, dtype, symbol)
constexpr const LinearIsa* kIsas[] = {
#include "kernels/linear/linear_kernels.inc"
};
#undef MILLRACE_LINEAR_ISA
#undef MILLRACE_LINEAR_KERNEL

}  // namespace

const ListedKernel* LinearKernels(int* count) {
  *count = static_cast<int>(std::size(kKernels));
  return kKernels;
}

const TileKernel* SelectTileKernel(Isa isa, DType dtype) {
  for (const ListedKernel& listed : kKernels) {
    if (listed.isa <= isa && listed.dtype == dtype) return listed.kernel;
  }
  return nullptr;
}

const LinearIsa& SelectLinearIsa(Isa isa) {
  for (const LinearIsa* functions : kIsas) {
    if (functions->isa <= isa) return *functions;
  }
  CHECK(false, "the list ends with the portable functions");
}

}  // namespace millrace::kernels
