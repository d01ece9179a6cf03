// kernel_instructions [CASE REPETITIONS]: runs one case of the instruction budgets (tools/instruction_budgets.py), or
// lists their names. One thread and the AVX2 kernels, since valgrind knows no AVX-512. The counts of N + 1 and of N
// repetitions differ by one run of the kernel.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/dequantize.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/linear/linear.h"

namespace millrace::kernels {
namespace {

using Runs = std::function<void(OpContext&, int)>;

struct Case {
  std::string name;
  Runs run;
};

std::vector<float> SomeFloats(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  uint32_t state = 1;
  for (float& v : out) v = static_cast<float>(static_cast<int32_t>(state = state * 1664525u + 1013904223u)) * 0x1p-31f;
  return out;
}

// y = W norm(x), W [64, 512]
void RunLinear(OpContext& context, int repetitions, DType type, int tokens) {
  constexpr int64_t kRows = 64, kCols = 512;
  const std::vector<float> w = SomeFloats(kRows * kCols), x = SomeFloats(tokens * kCols), norm(kCols, 1.0f);
  std::vector<float> out(static_cast<size_t>(tokens * kRows));
  std::vector<std::byte> stored(static_cast<size_t>(RowBytes(type, kCols) * kRows));
  for (int64_t r = 0; r < kRows; ++r) QuantizeRow(type, &w[r * kCols], &stored[r * RowBytes(type, kCols)], kCols);
  WeightRows rows;
  rows.dtype = type;
  rows.rows = kRows;
  rows.cols = kCols;
  rows.data = stored.data();
  ErrorText error;
  PackedMatrix* matrix = PackMatrixCpu(Isa::kAvx2, &context, &rows, 1, nullptr, false, &error);
  CHECK(matrix != nullptr, "{}", error.text);
  LinearArgs args;
  args.matrix = matrix;
  args.x = x.data();
  args.x_stride = kCols;
  args.num_tokens = tokens;
  args.pre_norm = {NormKind::kRms, norm.data(), nullptr, 1e-5f};
  args.out = out.data();
  args.out_stride = kRows;
  for (int i = 0; i < repetitions; ++i) LinearCpu(&context, &args);
  FreeMatrixCpu(matrix);
}

// 4 query heads of 64 on one KV head: num_new tokens behind `before` ones.
void RunHeads(OpContext& context, int repetitions, DType type, int before, int num_new) {
  constexpr int kHeads = 4, kHeadDim = 64;
  const int num_blocks = (before + num_new + kKvBlockSlots - 1) / kKvBlockSlots;
  const int64_t block_bytes = KvLayerBytesCpu(type, 1, kHeadDim);
  Buffer cache = *Buffer::Allocate(block_bytes * num_blocks);
  for (int64_t i = 0; i < cache.size(); i += 4) std::memcpy(cache.data() + i, "\x12\x3c\x34\x3d", 4);
  std::vector<int32_t> ids(static_cast<size_t>(num_blocks));
  std::iota(ids.begin(), ids.end(), 0);
  const int32_t query_start[] = {0, num_new}, context_len[] = {before}, table_start[] = {0, num_blocks};
  const AttentionBatch batch{.num_rows = 1,
                             .num_tokens = num_new,
                             .query_start = query_start,
                             .context_len = context_len,
                             .table_start = table_start,
                             .block_ids = ids.data()};
  const std::vector<float> q = SomeFloats(num_new * kHeads * kHeadDim);
  std::vector<float> out(q.size());
  const AttentionArgs args{.q = q.data(),
                           .q_stride = kHeads * kHeadDim,
                           .num_heads = kHeads,
                           .scale = 0.125f,
                           .kv = {.blocks = cache.data(),
                                  .block_bytes = block_bytes,
                                  .dtype = type,
                                  .num_kv_heads = 1,
                                  .head_dim = kHeadDim},
                           .batch = &batch,
                           .out = out.data(),
                           .out_stride = kHeads * kHeadDim};
  for (int i = 0; i < repetitions; ++i) RunAttention(GetAttentionKernels(Isa::kAvx2), &context, args);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DType type :
       {DType::kQ4_0, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kBF16, DType::kF16}) {
    for (const int tokens : {1, 8, 32}) {
      cases.push_back({fmt::format("linear {} x {}", DTypeName(type), tokens),
                       [=](OpContext& context, int n) { RunLinear(context, n, type, tokens); }});
    }
  }
  for (const DType type : {DType::kBF16, DType::kF16, DType::kI8}) {
    cases.push_back({fmt::format("attention {} decode at 512", DTypeName(type)),
                     [=](OpContext& context, int n) { RunHeads(context, n, type, 511, 1); }});
    cases.push_back({fmt::format("attention {} prefill 64", DTypeName(type)),
                     [=](OpContext& context, int n) { RunHeads(context, n, type, 0, 64); }});
  }
  return cases;
}

int Main(int argc, char** argv) {
  ThreadPool pool(1);
  Workspace workspace(*Buffer::Allocate(8 << 20));
  OpContext context{.pool = &pool, .workspace = &workspace};
  for (const Case& c : Cases()) {
    if (argc < 3) std::printf("%s\n", c.name.c_str());
    if (argc < 3 || c.name != argv[1]) continue;
    c.run(context, std::atoi(argv[2]));
    return 0;
  }
  return argc < 3 ? 0 : 2;
}

}  // namespace
}  // namespace millrace::kernels

int main(int argc, char** argv) {
  return millrace::kernels::Main(argc, argv);
}
