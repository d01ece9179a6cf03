// How weights lie in GPU memory, and how their products are cut. Plain arithmetic, used by packing, kernels and tests.
//
// Rows are cut into steps. In a step, lane t of a row's four lanes owns 16 contiguous bytes (bf16: twice 16), so that a
// warp reads rows g and g + 8 of a tile straight from memory into mma fragments: no shared memory, no ldmatrix. That
// permutes k inside every 32 values, the same way for weights and activations: lane t has values [8t, 8t + 8), of which
// mma step s takes [8t + 4s, 8t + 4s + 4).
//   kBf16  step of 64 values, 128 bytes: the plain row.
//   kInt8  step of 64 values, 64 bytes: lane t has values 8t + i of the first 32, then of the second; stored plus 128.
//   kInt4  step of 128 values, 64 bytes: word j of lane t has values 32 j + 8t + i, value i in nibble i / 2 + 4 (i %
//   2); stored plus 8. kInt4K Q4_K: as kInt4, stored as it is. w = d * scale * q - dmin * min, groups of 32. kInt8K
//   Q4_K, Q5_K and Q6_K in any mix: as kInt8. The same formula, groups of 16, rounded to bf16 on the way to the
//   product.
// Scales are words, [step][row][ScaleWords]. kInt8 and kInt4: f16, one per 32 values. The K formats: d and dmin in f16,
// then a byte for the scale of each of the four groups of the step (kInt8K: plus 128), then one for each min. A gated
// pair has its rows interleaved by eight: tile i holds gate rows [8i, 8i + 8), then up rows [8i, 8i + 8).
//
// A row of a product is cut into NumSplits runs of steps, chosen from the shape alone. Each run is added up alone in
// ascending k, and runs add in ascending order, in every kernel: an output's bits do not depend on how many tokens
// share the call.
#pragma once

#include <cstdint>

namespace millrace::cuda {

enum class WeightFormat : int { kBf16, kInt8, kInt4, kInt4K, kInt8K };
inline constexpr WeightFormat kAllFormats[] = {WeightFormat::kBf16, WeightFormat::kInt8, WeightFormat::kInt4,
                                               WeightFormat::kInt4K, WeightFormat::kInt8K};

inline constexpr int kTileRows = 16;
inline constexpr int kMaxSplits = 8;
inline constexpr int kGroup = 32;  // values of a scale

constexpr bool IsInt4(WeightFormat format) {
  return format == WeightFormat::kInt4 || format == WeightFormat::kInt4K;
}
constexpr bool IsK(WeightFormat format) {
  return format == WeightFormat::kInt4K || format == WeightFormat::kInt8K;
}
constexpr int StepElems(WeightFormat format) {
  return IsInt4(format) ? 128 : 64;
}
constexpr int StepBytes(WeightFormat format) {
  return format == WeightFormat::kBf16 ? 128 : 64;
}  // of a row
constexpr int StepGroups(WeightFormat format) {
  return StepElems(format) / kGroup;
}
// Of a row and step.
constexpr int ScaleWords(WeightFormat format) {
  return format == WeightFormat::kBf16 ? 0 : IsK(format) ? 3 : StepGroups(format) / 2;
}

// A function of the shape alone: enough warps for 132 multiprocessors of eight, runs of at least four steps.
constexpr int NumSplits(int64_t padded_rows, int64_t num_steps) {
  int splits = 1;
  while (splits < kMaxSplits && padded_rows / kTileRows * splits < 132 * 8 && num_steps / (2 * splits) >= 4)
    splits *= 2;
  return splits;
}
constexpr int SplitBegin(int num_steps, int split, int num_splits) {
  return static_cast<int>(static_cast<int64_t>(num_steps) * split / num_splits);
}

// Byte of value k inside its row's step, for kInt8; byte and shift for kInt4.
constexpr int Int8Place(int k) {
  return k % 32 / 8 * 16 + k / 32 * 8 + k % 8;
}
constexpr int Int4Byte(int k) {
  return k % 32 / 8 * 16 + k / 32 * 4 + (k % 8 / 2 + k % 2 * 4) / 2;
}
constexpr int Int4Shift(int k) {
  return (k % 8 / 2 + k % 2 * 4) % 2 * 4;
}

}  // namespace millrace::cuda
