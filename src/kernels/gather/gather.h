// OpTable::gather_rows: out[r, :] = x[rows[r], :], both contiguous.
#pragma once

#include "kernels/op_table.h"

namespace millrace::kernels {

void GatherRowsCpu(OpContext* context, const GatherRowsArgs* args);

}  // namespace millrace::kernels
