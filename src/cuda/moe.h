// Mixture of experts on the device, without a word to the host in between: choose, sort the choices by expert, run
// every expert's product over its rows, add up in routing order.
#pragma once

#include "kernels/op_table.h"

namespace millrace::cuda {

// OpTable::moe, and the workspace it takes.
void MoeOp(kernels::OpContext* context, const kernels::MoeArgs* args);
int64_t MoeWorkspaceBytes(const kernels::WorkspaceQuery& query);

}  // namespace millrace::cuda
