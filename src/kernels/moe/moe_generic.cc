#include "kernels/moe/moe_body.h"

namespace millrace::kernels {

void CombineExpertsGeneric(const CombineTask& task) {
  CombineExperts(task);
}

}  // namespace millrace::kernels
