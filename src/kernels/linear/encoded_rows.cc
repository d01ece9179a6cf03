#include "kernels/linear/encoded_rows.h"

#include <cstring>

#include "base/check.h"
#include "base/checked_math.h"

namespace millrace::kernels {
namespace {

// Below this many values one thread encodes all rows: waking the others takes longer (about 2 us).
constexpr int64_t kSerialPrepareValues = 8192;

}  // namespace

int64_t PaddedBlocks(int64_t cols) {
  return RoundUp<int64_t>(CeilDiv<int64_t>(cols, kBlockValues), kSectionBlocks);
}

EncodedRows PlanRows(const MatrixSegment& segment, int64_t num_tokens, int64_t cols) {
  EncodedRows rows;
  rows.encoding = segment.kernel->encoding;
  CHECK_EQ(cols % (rows.encoding.IsInt8() ? kBlockValues * rows.encoding.scale_blocks : 1), 0);
  rows.width = segment.width;
  rows.num_tokens = num_tokens;
  rows.num_blocks = PaddedBlocks(cols);
  rows.num_tiles = CeilDiv<int64_t>(num_tokens, segment.width.For(num_tokens));
  rows.group = CeilDiv<int64_t>(num_tokens, rows.num_tiles);
  rows.num_tiles = CeilDiv<int64_t>(num_tokens, rows.group);
  return rows;
}

void EncodeRows(OpContext* context, const EncodeArgs& encode_args, const EncodedRows& rows) {
  const auto encode = [&](int64_t begin, int64_t end) {
    PrepareArgs args;
    args.cols = encode_args.cols;
    args.norm = encode_args.norm;
    args.encoding = rows.encoding;
    args.num_blocks = rows.num_blocks;
    args.dst_stride = rows.group * rows.BlockBytes();
    args.section_stride = rows.SectionBytes();
    for (int64_t t = begin; t < end; ++t) {
      args.x = encode_args.x + (encode_args.x_rows == nullptr ? t : encode_args.x_rows[t]) * encode_args.x_stride;
      args.dst = rows.Block(t, 0);
      encode_args.isa->prepare(args);
    }
  };
  const int64_t threads = context->pool == nullptr ? 1 : context->pool->num_threads();
  if (threads == 1 || rows.num_tokens * encode_args.cols <= kSerialPrepareValues) return encode(0, rows.num_tokens);
  // The rows of a tile share cache lines: whole tiles where every thread gets some.
  const int64_t unit = rows.num_tiles < threads ? 1 : rows.group;
  const int64_t grain = unit * CeilDiv<int64_t>(kSerialPrepareValues / 2, encode_args.cols * unit);
  context->pool->ParallelFor(rows.num_tokens, grain, encode);
}

bool PlanRowsInPlaceOfFloats(const PackedMatrix& next, int64_t num_tokens, EncodedRows* rows) {
  if (next.gated || next.cols % kBlockValues != 0) return false;
  *rows = PlanRows(next.segments[0], num_tokens, next.cols);
  if (!rows->encoding.IsInt8() || rows->encoding.scale_blocks > 1) return false;
  for (const MatrixSegment& segment : next.segments) {
    if (!rows->Serves(segment)) return false;
  }
  return rows->Bytes() <= num_tokens * next.cols * static_cast<int64_t>(sizeof(float));
}

void EncodeBlocks(const LinearIsa& isa, const EncodedRows& rows, int64_t first_token, int64_t num_tokens, int64_t block,
                  const float* x) {
  for (int64_t t = first_token; t < first_token + num_tokens;) {
    const int64_t count = std::min(rows.group - t % rows.group, first_token + num_tokens - t);
    isa.encode(x + (t - first_token) * kBlockValues, static_cast<int>(count), rows.encoding, rows.Block(t, block));
    t += count;
  }
}

void ClearBlocks(const EncodedRows& rows, int64_t first_block) {
  for (int64_t block = first_block; block < rows.num_blocks; ++block) {
    for (int64_t t = 0; t < rows.num_tokens; t += rows.group) {
      std::memset(rows.Block(t, block), 0,
                  static_cast<size_t>(std::min(rows.group, rows.num_tokens - t) * rows.BlockBytes()));
    }
  }
}

}  // namespace millrace::kernels
