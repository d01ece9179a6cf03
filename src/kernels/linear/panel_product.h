// One panel of weights times some tokens.
#pragma once

#include "kernels/linear/encoded_rows.h"

namespace millrace::kernels {

// Tokens that meet a panel before the next panel's turn: their activations, 590 KiB for K = 2048, should stay in L2,
// and their sums (24 KiB) close by.
inline constexpr int64_t kSlabTokens = 192;

// Tiles [first, end) of a product's tokens, at most kSlabTokens of them.
struct Slab {
  int64_t first = 0;
  int64_t end = 0;
};

// acc[tile - slab.first][group][32 rows] = panel x the slab's tokens.
void MultiplyPanel(const MatrixSegment& segment, const EncodedRows& rows, const Slab& slab, int64_t panel, float* acc);

}  // namespace millrace::kernels
