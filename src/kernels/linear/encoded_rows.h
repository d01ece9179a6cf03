// EncodedRows: the activations of a product, encoded as its tiles want them.
#pragma once

#include <algorithm>

#include "kernels/linear/packed_matrix.h"

namespace millrace::kernels {

// Sections of kSectionBlocks blocks, each of tiles of `group` tokens (the last may have fewer), each
// [kSectionBlocks][group] encoded blocks. Blocks past the columns of a row are those of zeros.
struct EncodedRows {
  Encoding encoding;
  TileWidth width;
  int64_t num_tokens = 0;
  int64_t num_blocks = 0;
  int64_t group = 0;
  int64_t num_tiles = 0;
  std::byte* data = nullptr;  // [bytes()], 16-byte aligned

  bool Serves(const MatrixSegment& segment) const {
    return encoding == segment.kernel->encoding && width == segment.width;
  }
  int64_t BlockBytes() const { return EncodedBlockBytes(encoding.type); }
  int64_t TileBytes() const { return kSectionBlocks * group * BlockBytes(); }
  int64_t SectionBytes() const { return num_tiles * TileBytes(); }
  int64_t TileTokens(int64_t tile) const { return std::min(group, num_tokens - tile * group); }
  int64_t Bytes() const { return num_blocks / kSectionBlocks * SectionBytes(); }
  // The tokens of a tile lie BlockBytes() apart.
  std::byte* Block(int64_t token, int64_t block) const {
    return data + block / kSectionBlocks * SectionBytes() + token / group * TileBytes() +
           (block % kSectionBlocks * group + token % group) * BlockBytes();
  }
};

// Blocks of a row padded to whole sections, hence to whole chunks of any format.
int64_t PaddedBlocks(int64_t cols);

// How the tiles of a segment want `num_tokens` rows of `cols` values; data is null.
EncodedRows PlanRows(const MatrixSegment& segment, int64_t num_tokens, int64_t cols);

// Rows x[x_rows[t]] (x_rows null: x[t]), x_stride apart, normed and encoded into rows->data.
struct EncodeArgs {
  const LinearIsa* isa = nullptr;
  const float* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* x_rows = nullptr;
  int64_t cols = 0;
  Norm norm;
};
void EncodeRows(OpContext* context, const EncodeArgs& args, const EncodedRows& rows);

// Whether the one who makes the activations of `next` may leave them encoded in a buffer of num_tokens x next.cols
// floats, and how: when all parts of the matrix want the same int8 blocks, of a scale each, and these fit.
bool PlanRowsInPlaceOfFloats(const PackedMatrix& next, int64_t num_tokens, EncodedRows* rows);

// Encodes x [num_tokens][32], block `block` of rows first_token .., of a plan.
void EncodeBlocks(const LinearIsa& isa, const EncodedRows& rows, int64_t first_token, int64_t num_tokens, int64_t block,
                  const float* x);

// Fills the blocks from `first_block` on.
void ClearBlocks(const EncodedRows& rows, int64_t first_block);

}  // namespace millrace::kernels
