// OpTable::embed: x[t] = table row of token_ids[t] * scale (+ position_table row of positions[t]), for every stored
// type.
#pragma once

#include "kernels/op_table.h"

namespace millrace::kernels {

// Ids and positions lie inside their tables (the engine checks requests); anything else aborts.
void EmbedCpu(OpContext* context, const EmbedArgs* args);

}  // namespace millrace::kernels
