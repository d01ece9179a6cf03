// How packed weights lie in memory, the same for every ISA.
//
// A matrix [N, K] is cut into panels of 32 output rows. A panel is a sequence of chunks along K, each of 1, 2 or 8
// blocks of 32 values: first the chunk's header (all its scales), then the body (the codes, block by block). Rows and
// blocks that pad the matrix are zero.
//
// Body of a quantised block: a plane of 128 bytes for each bit of its codes, a dword per row. "Quad j" (0..7) of a row
// is its values 4 j .. 4 j
// + 3, a byte each; FieldsOf says which bits of which planes make its codes. Most quads take one shift and one mask at
// most, and planes are first used in ascending order, which is what the hardware's prefetch follows.
//
// The weight is scale * value - min, value = code - offset, or table[code] when there is a table.
//
// Header of a chunk, by Scales (d, m: binary16 for 32 rows each):
//
//   kHalf: d.
//
//   kHalfMin: d, m (weight = d * code + m).
//
//   kMx: a scale byte per row, for each of 2 blocks.
//
//   kSuper: d, then for each of 8 blocks a signed byte per row.
//
//   kSuperHalves: d. kSuperMin, kSuperNibbleMin: d, dmin.
//
// The last three start each block's body with 64 bytes of scales, so that memory is read in one ascending stream (a
// second slow stream through a larger header cost half of the bandwidth at one token):
//
//   kSuperHalves: a signed byte per row for each half.
//
//   kSuperMin: the scale bytes, then the min bytes of the rows.
//
//   kSuperNibbleMin: a byte per row for each half, scale in the low and min in the high nibble.
//
// Body of a block of the plain types (no header): F32 and F16 [32 k][32 rows]; BF16 [16 pairs of k][32 rows][2];
// F8_E4M3 [16 pairs of k][4][2][4 rows][2], row 16 g + 4 l + i at [l][g][i], so that unpacking bytes gives the BF16
// order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace millrace::kernels {

inline constexpr int kPanelRows = 32;
inline constexpr int kBlockValues = 32;
inline constexpr int kHalfRow = kPanelRows * 2;  // bytes of one binary16 per row

enum class Scales : int { kNone, kHalf, kHalfMin, kMx, kSuper, kSuperHalves, kSuperMin, kSuperNibbleMin };

struct PanelFormat {
  DType dtype = DType::kF32;
  Scales scales = Scales::kNone;
  int code_bits = 0;              // 0: a plain type
  int offset = 0;                 // of the codes that vector kernels multiply (after the table, where there is one)
  const int8_t* table = nullptr;  // [16]
  int chunk_blocks = 1;
  int header_bytes = 0;
  int block_scale_bytes = 0;  // before the codes of each block
  int block_bytes = 0;        // both

  int64_t ChunkBytes() const { return header_bytes + static_cast<int64_t>(chunk_blocks) * block_bytes; }
  // A scale for every 16 values.
  bool HasHalves() const { return scales == Scales::kSuperHalves || scales == Scales::kSuperNibbleMin; }
};

// Bits [from, from + width) of a plane's bytes are bits [to, to + width) of the codes.
struct CodeField {
  int plane, from, width, to;
};
struct QuadFields {
  int count;
  CodeField field[3];
};

// Quad j of codes of 2, 3, 4, 5, 6 or 8 bits.
constexpr QuadFields FieldsOf(int bits, int j) {
  switch (bits) {
    case 2:
      return {1, {{j / 4, j % 4 * 2, 2, 0}}};
    case 3: {
      constexpr QuadFields kFields[8] = {
          {1, {{0, 0, 3, 0}}}, {1, {{0, 3, 3, 0}}}, {2, {{0, 6, 2, 0}, {1, 3, 1, 2}}}, {1, {{1, 0, 3, 0}}},
          {1, {{1, 5, 3, 0}}}, {1, {{2, 0, 3, 0}}}, {2, {{2, 6, 2, 0}, {1, 4, 1, 2}}}, {1, {{2, 3, 3, 0}}}};
      return kFields[j];
    }
    case 4:
      return {1, {{j % 4, j / 4 * 4, 4, 0}}};
    case 5:
      return {2, {{1 + j % 4, j / 4 * 4, 4, 0}, {0, j, 1, 4}}};
    case 6:
      if (j % 4 < 3) return {1, {{j / 4 * 3 + j % 4, 0, 6, 0}}};
      return {3, {{j / 4 * 3, 6, 2, 0}, {j / 4 * 3 + 1, 6, 2, 2}, {j / 4 * 3 + 2, 6, 2, 4}}};
    default:
      return {1, {{j, 0, 8, 0}}};
  }
}

// Null for types that are not weights (integers).
const PanelFormat* FindPanelFormat(DType dtype);

// Chunks that K values take.
int64_t NumChunks(const PanelFormat& format, int64_t cols);

// Packs one panel, `rows[r]` being row r in its stored type (null: leave zeros), into `dst`, which is zero-filled and
// 64-byte aligned.
void PackPanel(const PanelFormat& format, const std::byte* const rows[kPanelRows], int64_t cols, std::byte* dst);

// The 32 rows of one block as numbers: what kernels must agree with. Used by the portable kernel.
struct BlockValues {
  int8_t value[kPanelRows][kBlockValues];  // quantised types
  float scale[2][kPanelRows];              // per half
  float min[2][kPanelRows];                // subtracted; 0 without mins
  float plain[kPanelRows][kBlockValues];   // plain types
};
void UnpackBlock(const PanelFormat& format, const std::byte* chunk, int block, BlockValues* out);

}  // namespace millrace::kernels
