#include "kernels/moe/moe_body.h"

namespace millrace::kernels {

void CombineExpertsAvx2(const CombineTask& task) {
  CombineExperts(task);
}

}  // namespace millrace::kernels
