#include "kernels/moe/moe_body.h"

namespace millrace::kernels {

void CombineExpertsAvx512(const CombineTask& task) {
  CombineExperts(task);
}

}  // namespace millrace::kernels
