#include "kernels/gated_delta/gated_delta_body.h"

namespace millrace::kernels {

void GatedDeltaAvx2(const GatedDeltaArgs& args, int row, int head) {
  RunHead(args, row, head);
}

}  // namespace millrace::kernels
