#include "kernels/embed/embed.h"

#include <algorithm>

#include "base/dequantize.h"

namespace millrace::kernels {
namespace {

constexpr int64_t kPiece = 256;  // a multiple of every type's block

// The stored row `index`; scratch holds one and is used when the table has no address.
const std::byte* StoredRow(const WeightRows& table, int64_t index, std::byte* scratch) {
  CHECK(index >= 0 && index < table.rows, "row {} of a table of {}", index, table.rows);
  if (table.data != nullptr) return table.data + index * RowBytes(table.dtype, table.cols);
  table.gather(table.context, index, 1, scratch);
  return scratch;
}

void EmbedToken(const EmbedArgs& args, int64_t t, std::byte* scratch) {
  const WeightRows& table = *args.table;
  float* x = args.x + t * table.cols;
  DequantizeRow(table.dtype, StoredRow(table, args.token_ids[t], scratch), x, table.cols);
  for (int64_t i = 0; i < table.cols; ++i) x[i] *= args.scale;
  if (args.position_table == nullptr) return;
  const WeightRows& positions = *args.position_table;
  const std::byte* row = StoredRow(positions, args.positions[t], scratch);
  float piece[kPiece];
  for (int64_t begin = 0; begin < positions.cols; begin += kPiece) {
    const int64_t n = std::min(kPiece, positions.cols - begin);
    DequantizeRow(positions.dtype, row + RowBytes(positions.dtype, begin), piece, n);
    for (int64_t i = 0; i < n; ++i) x[begin + i] += piece[i];
  }
}

}  // namespace

void EmbedCpu(OpContext* context, const EmbedArgs* args) {
  const bool mapped =
      args->table->data != nullptr && (args->position_table == nullptr || args->position_table->data != nullptr);
  if (mapped) {
    context->pool->ParallelFor(args->num_tokens, 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) EmbedToken(*args, t, nullptr);
    });
    return;
  }
  // A table without an address is read row by row on the calling thread; no stored row is larger than f32.
  Workspace::Scope scope(*context->workspace);
  std::byte* scratch = context->workspace->Take<std::byte>(args->table->cols * static_cast<int64_t>(sizeof(float)));
  for (int64_t t = 0; t < args->num_tokens; ++t) EmbedToken(*args, t, scratch);
}

}  // namespace millrace::kernels
