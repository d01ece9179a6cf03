// attention_bench: time and read rate of attention for shapes of real models.
//   attention_bench [isa [threads [word]]]      isa: avx512, avx2 or generic, default the best; word: only cases whose
//   name and type have it
// Prints per case the best of many runs: microseconds, GB/s of KV read (decode) and GFLOP/s of the two products
// (prefill), beside the read bandwidth that the same process measures.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/attention/attention_tile.h"

namespace millrace::kernels {
namespace {

// Seconds on a clock that other processes do not disturb where there is one: a lone thread's own time; otherwise the
// wall's.
double Now(int num_threads) {
  timespec time;
  clock_gettime(num_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <typename Fn>
double BestSeconds(int num_threads, const Fn& fn) {
  double best = 1e9;
  const double start = Now(num_threads);
  for (int i = 0; i < 100000; ++i) {
    const double begin = Now(num_threads);
    fn();
    const double end = Now(num_threads);
    best = std::min(best, end - begin);
    if (i >= 2 && end - start > 0.3) break;
  }
  return best;
}

struct Case {
  const char* name;
  DType dtype;
  int num_heads, num_kv_heads, head_dim;
  int rows, context, num_new;
  int num_layers;  // distinct layers of the cache that runs walk through, so that decode reads memory and not a cache
  int window = 0;
};

void RunCase(const AttentionKernels& kernels, ThreadPool& pool, const Case& c, const char* word) {
  const std::string name = std::string(c.name) + " " + DTypeName(c.dtype);
  if (name.find(word) == std::string::npos) return;
  const int64_t layer_bytes = KvLayerBytesCpu(c.dtype, c.num_kv_heads, c.head_dim);
  const int blocks_per_row = (c.context + c.num_new + kKvBlockSlots - 1) / kKvBlockSlots;
  const int64_t block_bytes = layer_bytes * c.num_layers;
  Buffer cache = *Buffer::Allocate(block_bytes * blocks_per_row * c.rows);
  std::mt19937 rng(1);
  // Bits that are finite numbers of middling size in every type.
  for (int64_t i = 0; i < cache.size(); i += 4) {
    const uint32_t bits = 0x3c003c00u ^ (static_cast<uint32_t>(rng()) & 0x83ff83ffu);
    std::memcpy(cache.data() + i, &bits, 4);
  }
  std::vector<int32_t> query_start = {0}, context_len, table_start = {0},
                       ids(static_cast<size_t>(blocks_per_row) * c.rows);
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), rng);
  for (int r = 0; r < c.rows; ++r) {
    query_start.push_back(query_start.back() + c.num_new);
    context_len.push_back(c.context);
    table_start.push_back(table_start.back() + blocks_per_row);
  }
  const AttentionBatch batch{.num_rows = c.rows,
                             .num_tokens = c.rows * c.num_new,
                             .query_start = query_start.data(),
                             .context_len = context_len.data(),
                             .table_start = table_start.data(),
                             .block_ids = ids.data()};
  const int64_t width = static_cast<int64_t>(c.num_heads) * c.head_dim;
  std::vector<float> q(batch.num_tokens * width), out(q.size());
  for (float& v : q) v = static_cast<float>(rng() % 2001) / 1000.0f - 1.0f;
  Workspace workspace(*Buffer::Allocate(64 << 20));
  OpContext context{.pool = &pool, .workspace = &workspace};
  AttentionArgs args{.q = q.data(),
                     .q_stride = width,
                     .num_heads = c.num_heads,
                     .scale = 0.1f,
                     .window = c.window,
                     .kv = {.blocks = cache.data(),
                            .block_bytes = block_bytes,
                            .dtype = c.dtype,
                            .num_kv_heads = c.num_kv_heads,
                            .head_dim = c.head_dim},
                     .batch = &batch,
                     .out = out.data(),
                     .out_stride = width};
  const double seconds = BestSeconds(pool.num_threads(),
                                     [&] {
                                       for (int layer = 0; layer < c.num_layers; ++layer) {
                                         args.kv.layer_offset = layer * layer_bytes;
                                         RunAttention(kernels, &context, args);
                                       }
                                     }) /
                         c.num_layers;
  double flops = 0, slots = 0;
  for (int j = 0; j < c.num_new; ++j) {
    const int visible = c.window > 0 ? std::min(c.window, c.context + j + 1) : c.context + j + 1;
    flops += 4.0 * visible * width * c.rows;
    if (j == c.num_new - 1) slots = visible;
  }
  std::fflush(stdout);
  const double bytes = slots / kKvBlockSlots * static_cast<double>(layer_bytes) * c.rows;
  std::printf("%-33s %10.1f us  %7.1f GB/s  %7.1f GFLOP/s\n", name.c_str(), seconds * 1e6, bytes / seconds * 1e-9,
              flops / seconds * 1e-9);
}

// Read bandwidth of all threads over `bytes` bytes each.
double ReadBandwidth(ThreadPool& pool, int64_t bytes) {
  Buffer buffer = *Buffer::Allocate(bytes * pool.num_threads());
  std::memset(buffer.data(), 1, static_cast<size_t>(buffer.size()));
  std::vector<uint64_t> sums(static_cast<size_t>(pool.num_threads()) * 8);
  const double seconds = BestSeconds(pool.num_threads(), [&] {
    pool.Run([&](int thread) {
      const auto* at = reinterpret_cast<const uint64_t*>(buffer.data() + thread * bytes);
      uint64_t sum[8] = {};
      for (int64_t i = 0; i < bytes / 8; i += 8) {
        for (int j = 0; j < 8; ++j) sum[j] ^= at[i + j];
      }
      sums[static_cast<size_t>(thread) * 8] += std::accumulate(sum, sum + 8, uint64_t{0});
    });
  });
  return static_cast<double>(buffer.size()) / seconds * 1e-9;
}

int Main(int argc, char** argv) {
  Isa isa = SelectIsa().value();
  if (argc > 1) {
    for (const Isa candidate : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
      if (std::strcmp(argv[1], IsaName(candidate)) == 0) isa = candidate;
    }
  }
  const char* word = argc > 3 ? argv[3] : "";
  ThreadPool pool(argc > 2 ? std::atoi(argv[2]) : NumUsableCores());
  const AttentionKernels& kernels = GetAttentionKernels(isa);
  std::printf("%s, %d threads, read %.1f GB/s\n", IsaName(isa), pool.num_threads(), ReadBandwidth(pool, 128 << 20));
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kI8, DType::kF8E4M3, DType::kF32}) {
    RunCase(kernels, pool, {"llama-1b decode 4096", dtype, 32, 8, 64, 1, 4095, 1, 16}, word);
    RunCase(kernels, pool, {"qwen-0.6b decode 4096", dtype, 16, 8, 128, 1, 4095, 1, 8}, word);
    RunCase(kernels, pool, {"llama-1b decode 128", dtype, 32, 8, 64, 1, 127, 1, 16}, word);
    RunCase(kernels, pool, {"llama-1b 32 x decode 512", dtype, 32, 8, 64, 32, 511, 1, 4}, word);
    RunCase(kernels, pool, {"llama-1b prefill 512", dtype, 32, 8, 64, 1, 0, 512, 1}, word);
    RunCase(kernels, pool, {"qwen-0.6b prefill 512", dtype, 16, 8, 128, 1, 0, 512, 1}, word);
    RunCase(kernels, pool, {"llama-1b prefill 512 at 3584", dtype, 32, 8, 64, 1, 3584, 512, 4}, word);
    RunCase(kernels, pool, {"gemma-like window 512", dtype, 8, 4, 256, 1, 3584, 256, 1, 512}, word);
  }
  return 0;
}

}  // namespace
}  // namespace millrace::kernels

int main(int argc, char** argv) {
  return millrace::kernels::Main(argc, argv);
}
