// PackedMatrix: panels of weights with the kernels chosen for them.
#pragma once

#include <vector>

#include "kernels/linear/linear_kernel.h"
#include "tensor/buffer.h"

namespace millrace::kernels {

// Rows of one stored type: panels `panel_stride` apart (a gate and an up segment interleave their panels).
struct MatrixSegment {
  const PanelFormat* format = nullptr;
  const TileKernel* kernel = nullptr;
  TileWidth width;        // the kernel's, or the lesser of gate's and up's, whose tiles run in step
  int64_t first_row = 0;  // of the matrix; where the segment's outputs start
  int64_t rows = 0;
  int64_t num_panels = 0;
  int64_t panel_bytes = 0;
  int64_t panel_stride = 0;
  const std::byte* panels = nullptr;

  const std::byte* Panel(int64_t index) const { return panels + index * panel_stride; }
};

struct PackedMatrix {
  const LinearIsa* isa = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  bool gated = false;                   // segments[0] is gate, segments[1] is up
  std::vector<MatrixSegment> segments;  // in row order
  Buffer buffer;
  std::vector<float> bias;  // [rows] or empty
};

// At most this many different encodings of the activations per matrix.
inline constexpr int kMaxEncodings = 3;

}  // namespace millrace::kernels
