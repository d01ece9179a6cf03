#include "kernels/gated_delta/gated_delta_body.h"

namespace millrace::kernels {

void GatedDeltaGeneric(const GatedDeltaArgs& args, int row, int head) {
  RunHead(args, row, head);
}

}  // namespace millrace::kernels
