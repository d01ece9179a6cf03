// Kernels of the CUDA backend on this GPU, against limits measured in the same run: one line each, and JSON with --json
// FILE.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cuda/attention.h"
#include "cuda/bench/device_timer.h"
#include "cuda/limits.h"
#include "cuda/linear.h"

namespace millrace::cuda {
namespace {

class Report {
 public:
  void Add(const std::string& name, double microseconds, double value, const char* unit, double limit) {
    const double percent = limit > 0 ? 100 * value / limit : 0;
    std::printf("%-44s %10.1f us %10.1f %-8s %5.1f %%\n", name.c_str(), microseconds, value, unit, percent);
    std::fflush(stdout);
    lines_.push_back(
        {{"name", name}, {"us", microseconds}, {"value", value}, {"unit", unit}, {"percent_of_limit", percent}});
  }
  void Write(const std::string& path) const {
    if (!path.empty()) std::ofstream(path) << lines_.dump(1) << "\n";
  }
  double copy_gb_s = 0, mma_tflop_s = 0;

 private:
  nlohmann::ordered_json lines_ = nlohmann::ordered_json::array();
};

void MeasureLimits(int multiprocessors, Report* report) {
  constexpr int64_t kBytes = int64_t{2} << 30;
  Buffer from = RandomBf16(kBytes / 2), to = *Buffer::Allocate(kBytes, gpu::Memory());
  const double copy =
      MedianMicroseconds(7, 3, [&](int) { gpu::Memory()->copy(nullptr, to.data(), from.data(), kBytes); });
  report->copy_gb_s = 2e-3 * static_cast<double>(kBytes) / copy;
  report->Add("limit: copy, bytes read and written", copy, report->copy_gb_s, "GB/s", 0);
  const int blocks = 2 * multiprocessors, repeats = 4000;
  Buffer out = *Buffer::Allocate(int64_t{blocks} * kMmaPeakThreads * 4, gpu::Memory());
  const double mma = MedianMicroseconds(7, 1, [&](int) { LaunchMmaPeak({repeats, out.as<float>()}, blocks, nullptr); });
  const double flops = 2.0 * 16 * 8 * 16 * kMmaPeakChains * repeats * blocks * (kMmaPeakThreads / 32);
  report->mma_tflop_s = 1e-6 * flops / mma;
  report->Add("limit: mma.m16n8k16 bf16 from registers", mma, report->mma_tflop_s, "TFLOP/s", 0);
  const double launch = MedianMicroseconds(7, 500, [&](int) { LaunchMmaPeak({0, out.as<float>()}, 1, nullptr); });
  report->Add("an empty kernel after the other", launch, 1e6 / launch, "1/s", 0);
}

struct ProductShape {
  const char* name;
  int rows, cols;
  bool gated;
};

constexpr ProductShape kShapes[] = {{"8B qkv", 6144, 4096, false},     {"8B o", 4096, 4096, false},
                                    {"8B gate+up", 28672, 4096, true}, {"8B down", 4096, 14336, false},
                                    {"8B head", 128256, 4096, false},  {"1B o", 2048, 2048, false}};

// Enough copies of the weights that a call never finds its own in the 60 MB of second-level cache.
void MeasureProduct(const ProductShape& shape, WeightFormat format, int tokens, Report* report) {
  LinearParams p;
  p.num_tokens = tokens;
  p.padded_rows = shape.rows;
  p.num_rows = shape.gated ? shape.rows / 2 : shape.rows;
  p.gated = shape.gated;
  p.activation = shape.gated ? Activation::kSilu : Activation::kNone;
  p.num_steps = shape.cols / StepElems(format);
  p.num_splits = NumSplits(p.padded_rows, p.num_steps);
  p.out_stride = p.num_rows;
  const int64_t weight_bytes = int64_t{p.padded_rows} * p.num_steps * StepBytes(format);
  const int64_t scale_bytes = int64_t{p.padded_rows} * p.num_steps * ScaleWords(format) * 4;
  const int copies = static_cast<int>(std::max<int64_t>(1, (256 << 20) / weight_bytes));
  const Buffer weights = format == WeightFormat::kBf16 ? RandomBf16(weight_bytes / 2 * copies)
                                                       : RandomBuffer(weight_bytes * copies, ~0u, 0);
  const Buffer scales = RandomBuffer(scale_bytes, 0x03ff03ffu, 0x20002000u);
  const Buffer x = RandomBf16(int64_t{tokens} * shape.cols);
  Buffer out = *Buffer::Allocate(int64_t{tokens} * p.num_rows * 4, gpu::Memory());
  p.scales = scales.as<uint32_t>();
  p.x = x.as<uint16_t>();
  p.out = out.as<float>();
  const double us = MedianMicroseconds(7, std::max(copies, 4), [&](int call) {
    p.weights = weights.data() + call % copies * weight_bytes;
    LaunchLinear(format, p, nullptr);
  });
  const char* names[] = {"bf16", "int8", "int4", "int4k", "int8k"};
  const std::string name =
      std::string(shape.name) + " " + names[static_cast<int>(format)] + ", tokens " + std::to_string(tokens);
  if (tokens <= 128) {
    report->Add(name, us, 1e-3 * static_cast<double>(weight_bytes + scale_bytes) / us, "GB/s", report->copy_gb_s);
  } else {
    report->Add(name, us, 2e-6 * shape.rows * shape.cols * tokens / us, "TFLOP/s", report->mma_tflop_s);
  }
}

// Rows of `queries` new tokens behind `context` ones; 32 heads, 8 kv heads, head_dim 128 as Llama 3 8B.
void MeasureAttention(int rows, int context, int queries, Report* report) {
  constexpr int kHeads = 32, kKvHeads = 8, kDim = 128;
  const int blocks_per_row = (context + queries + kBlockSlots - 1) / kBlockSlots;
  AttentionParams p;
  const int64_t block_bytes = kKvHeads * KvHeadBytes(kDim);
  Buffer pool = RandomBf16(block_bytes / 2 * rows * blocks_per_row);
  std::vector<int32_t> query_start = {0}, context_len(static_cast<size_t>(rows), context), table_start = {0}, block_ids;
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks_per_row; ++b) block_ids.push_back(b * rows + r);
    query_start.push_back((r + 1) * queries);
    table_start.push_back(static_cast<int32_t>(block_ids.size()));
  }
  const auto upload = [](const std::vector<int32_t>& values) {
    Buffer buffer = *Buffer::Allocate(static_cast<int64_t>(values.size() * 4), gpu::Memory());
    gpu::Upload(buffer.data(), values.data(), buffer.size());
    return buffer;
  };
  const Buffer starts = upload(query_start), contexts = upload(context_len), tables = upload(table_start),
               ids = upload(block_ids);
  const Buffer q = RandomF32(int64_t{rows} * queries * kHeads * kDim);
  Buffer out = *Buffer::Allocate(q.size(), gpu::Memory());
  p.q = q.as<float>();
  p.q_stride = p.out_stride = kHeads * kDim;
  p.out = out.as<float>();
  p.num_heads = kHeads;
  p.scale = 0.088f;
  p.kv = {pool.data(),          block_bytes,      0, kKvHeads, kDim, rows, starts.as<int32_t>(), contexts.as<int32_t>(),
          tables.as<int32_t>(), ids.as<int32_t>()};
  p.num_rows = rows;
  p.num_segments = (context + queries + kSegmentSlots - 1) / kSegmentSlots;
  Buffer partial = *Buffer::Allocate(int64_t{rows} * kKvHeads * p.num_segments * kSmallRows * PartialStride(kDim) * 4,
                                     gpu::Memory());
  Buffer tickets = *Buffer::Allocate(int64_t{rows} * kKvHeads * 4, gpu::Memory());
  gpu::Memory()->clear(nullptr, tickets.data(), tickets.size());
  p.partial = partial.as<float>();
  p.tickets = tickets.as<unsigned>();
  const bool small = queries * (kHeads / kKvHeads) <= kSmallRows;
  const double us = MedianMicroseconds(7, small ? 10 : 3, [&](int) {
    if (small) {
      LaunchAttentionSmall(p, nullptr);
    } else {
      LaunchAttentionLarge(p, queries, nullptr);
    }
  });
  const std::string name =
      "attention " + std::to_string(rows) + " x " + std::to_string(context) + " + " + std::to_string(queries);
  if (small) {
    report->Add(name, us, 1e-3 * rows * (context + queries) * double{kKvHeads} * kDim * 4 / us, "GB/s",
                report->copy_gb_s);
  } else {
    const double pairs = queries * (context + 0.5 * queries);
    report->Add(name, us, 1e-6 * rows * 4.0 * pairs * kHeads * kDim / us, "TFLOP/s", report->mma_tflop_s);
  }
}

int Run(const std::string& json) {
  int device = 0, multiprocessors = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) {
    std::fprintf(stderr, "cuda_bench: no GPU: %s\n", cudaGetErrorString(cudaGetLastError()));
    return 77;
  }
  Report report;
  MeasureLimits(multiprocessors, &report);
  for (const ProductShape& shape : kShapes) {
    for (const WeightFormat format : kAllFormats) {
      for (const int tokens : {1, 4, 16, 64, 128, 2048}) {
        if (shape.rows <= 30000 || tokens <= 128) MeasureProduct(shape, format, tokens, &report);
      }
    }
  }
  for (const auto& [rows, context] : {std::pair{1, 500}, {1, 8192}, {32, 1024}, {32, 8192}, {128, 1024}}) {
    MeasureAttention(rows, context - 1, 1, &report);
  }
  for (const int queries : {512, 2048, 4096, 16384}) MeasureAttention(1, 0, queries, &report);
  report.Write(json);
  char error[256] = "";
  if (gpu::Synchronize(nullptr, error, sizeof(error))) return 0;
  std::fprintf(stderr, "cuda_bench: %s\n", error);
  return 1;
}

}  // namespace
}  // namespace millrace::cuda

int main(int argc, char** argv) {
  return millrace::cuda::Run(argc == 3 && std::strcmp(argv[1], "--json") == 0 ? argv[2] : "");
}
