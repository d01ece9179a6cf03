// Speed of matrix products against the limits of the machine, measured in the same process.
// linear_bench [--threads N] [--isa NAME] [--types A,B] [--n N] [--k K] [--tokens M,...] [--seconds S]
//              [--kib WEIGHTS]: less than the L2 shows what arithmetic alone allows
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/dequantize.h"
#include "kernels/limits/limits.h"
#include "kernels/linear/linear.h"
#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

// One thread is timed by its processor time, which other processes disturb less.
double Seconds(int threads) {
  timespec now;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == ',') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Options {
  int threads = NumUsableCores();
  Isa isa = Isa::kGeneric;
  std::string types = "Q4_0,Q8_0,Q4_K,Q6_K,BF16";
  std::string tokens = "1,4,8,32,512";
  int64_t n = 8192;
  int64_t k = 2048;
  double seconds = 0.3;
  int64_t kib = 256 << 10;
};

// Copies of one matrix that together exceed any cache, as the layers of a model do.
struct Layers {
  std::vector<std::byte> stored;
  std::vector<PackedMatrix*> matrices;
  ~Layers() {
    for (PackedMatrix* matrix : matrices) FreeMatrixCpu(matrix);
  }
};

void Fill(DType type, const Options& options, OpContext& context, Layers* layers) {
  const int64_t row_bytes = RowBytes(type, options.k);
  std::vector<float> row(static_cast<size_t>(options.k));
  layers->stored.resize(static_cast<size_t>(row_bytes * options.n));
  uint32_t state = 1;
  for (int64_t r = 0; r < options.n; ++r) {
    if (r >= 64) {
      std::memcpy(&layers->stored[r * row_bytes], &layers->stored[r % 64 * row_bytes], row_bytes);
      continue;
    }
    for (float& value : row)
      value = static_cast<float>(static_cast<int32_t>(state = state * 1664525u + 1013904223u)) * 0x1p-31f;
    QuantizeRow(type, row.data(), &layers->stored[r * row_bytes], options.k);
  }
  WeightRows rows;
  rows.dtype = type;
  rows.rows = options.n;
  rows.cols = options.k;
  rows.data = layers->stored.data();
  ErrorText error;
  const double start = Seconds(options.threads);
  int64_t bytes = 0;
  while (bytes < options.kib << 10) {
    PackedMatrix* matrix = PackMatrixCpu(options.isa, &context, &rows, 1, nullptr, false, &error);
    CHECK(matrix != nullptr, "{}", error.text);
    layers->matrices.push_back(matrix);
    bytes += PackedBytesCpu(matrix);
  }
  fmt::print("{:8} packed at {:.2f} GB/s\n", DTypeName(type),
             static_cast<double>(bytes) / (Seconds(options.threads) - start) * 1e-9);
}

void BenchType(DType type, const Options& options, const MachineLimits& limits, OpContext& context) {
  Layers layers;
  Fill(type, options, context, &layers);
  const Encoding& activations = SelectTileKernel(options.isa, type)->encoding;
  const double peak = activations.IsInt8()                        ? limits.int8_gop_per_s
                      : activations.type == ActivationType::kBf16 ? limits.bf16_gflop_per_s
                                                                  : limits.f32_gflop_per_s;
  for (const std::string& text : Split(options.tokens)) {
    const int64_t tokens = std::atoll(text.c_str());
    const std::vector<float> x(static_cast<size_t>(tokens * options.k), 0.5f);
    std::vector<float> out(static_cast<size_t>(tokens * options.n));
    LinearArgs args;
    args.x = x.data();
    args.x_stride = options.k;
    args.num_tokens = tokens;
    args.out = out.data();
    args.out_stride = options.n;
    double best = 1e9;
    std::vector<double> passes;
    const double end = Seconds(options.threads) + options.seconds;
    do {
      // The best of passes over all layers: one pass reads every weight from memory.
      const double start = Seconds(options.threads);
      size_t done = 0;
      while (done < layers.matrices.size() && (done == 0 || Seconds(options.threads) - start < options.seconds)) {
        args.matrix = layers.matrices[done++];
        LinearCpu(&context, &args);
      }
      passes.push_back((Seconds(options.threads) - start) / static_cast<double>(done));
      best = std::min(best, passes.back());
    } while (Seconds(options.threads) < end);
    const double gops = 2.0 * static_cast<double>(tokens * options.n * options.k) / best * 1e-9;
    const double gbs = static_cast<double>(PackedBytesCpu(layers.matrices[0])) / best * 1e-9;
    fmt::print("{:8} M {:5}  {:8.1f} GOP/s {:5.1f} %   {:6.1f} GB/s {:5.1f} %  median {:7.1f} GOP/s\n", DTypeName(type),
               tokens, gops, peak > 0 ? 100.0 * gops / peak : 0.0, gbs, 100.0 * gbs / limits.read_gb_per_s,
               gops * best / Median(passes));
  }
}

int Main(int argc, char** argv) {
  Options options;
  const Result<Isa> isa = SelectIsa();
  CHECK(isa.ok(), "{}", isa.status().message());
  options.isa = *isa;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--threads") options.threads = std::atoi(value.c_str());
    if (name == "--types") options.types = value;
    if (name == "--tokens") options.tokens = value;
    if (name == "--n") options.n = std::atoll(value.c_str());
    if (name == "--k") options.k = std::atoll(value.c_str());
    if (name == "--kib") options.kib = std::atoll(value.c_str());
    if (name == "--seconds") options.seconds = std::atof(value.c_str());
  }
  ThreadPool pool(options.threads);
  Workspace workspace(Buffer::Allocate(int64_t{1} << 30).value());
  HostArena arena;
  OpContext context;
  context.weights = &arena;
  context.pool = &pool;
  context.workspace = &workspace;
  const MachineLimits limits = MeasureLimits(pool, options.isa, options.threads == 1);
  fmt::print("{} on {} threads: read {:.1f} GB/s, f32 {:.0f}, bf16 {:.0f} GFLOP/s, int8 {:.0f} GOP/s\n",
             IsaName(options.isa), options.threads, limits.read_gb_per_s, limits.f32_gflop_per_s,
             limits.bf16_gflop_per_s, limits.int8_gop_per_s);
  for (const std::string& name : Split(options.types)) {
    const std::optional<DType> type = ParseDType(name);
    CHECK(type.has_value(), "unknown type {}", name);
    BenchType(*type, options, limits, context);
  }
  return 0;
}

}  // namespace
}  // namespace millrace::kernels

int main(int argc, char** argv) {
  return millrace::kernels::Main(argc, argv);
}
