#include "base/philox.h"
#include "cuda/launch.h"
#include "cuda/sample.h"

namespace millrace::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kBins = 256;
constexpr float kPruneLogit = 30.0f;      // as sampling/filters.cc: e^-30 of the best is dropped
constexpr float kMassUnit = 0x1p40f;      // of a probability relative to the best
constexpr float kMaskedLogit = -0.5e30f;  // below lies what constraints forbid

using Word = unsigned long long;

struct Shared {
  Word bins[kBins];
  Word best, total, selected, remaining;
  int failed;
};

// Grows with the logit; equal logits are ordered by lowest id first.
__device__ __forceinline__ Word KeyOf(float value, int token) {
  const uint32_t bits = FloatToBits(value);
  const uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<Word>(ordered) << 32 | static_cast<uint32_t>(~token);
}
__device__ __forceinline__ int TokenOf(Word key) {
  return static_cast<int>(~static_cast<uint32_t>(key));
}
__device__ __forceinline__ float LogitOf(Word key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return BitsToFloat((ordered & 0x80000000u) != 0 ? ordered & 0x7fffffffu : ~ordered);
}

// One row of logits as its filters see it.
struct Row {
  const float* logits;
  int size;
  float best, temperature;

  __device__ bool IsCandidate(float logit) const {
    return logit >= best - kPruneLogit * temperature && logit > kMaskedLogit;
  }
  // Probability relative to the best token's.
  __device__ float Relative(float logit) const { return expf((logit - best) / temperature); }
  __device__ Word Mass(float logit) const { return static_cast<Word>(Relative(logit) * kMassUnit); }
};

// Sum of weight(logit) over candidates with keys of at least `floor`.
template <typename Weight>
__device__ __forceinline__ Word TotalWeight(const Row& row, Word floor, const Weight& weight, Shared* shared) {
  if (threadIdx.x == 0) shared->total = 0;
  __syncthreads();
  Word sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < row.size; i += kThreads) {
    const float logit = row.logits[i];
    if (row.IsCandidate(logit) && KeyOf(logit, i) >= floor) sum += weight(logit);
  }
  atomicAdd(&shared->total, sum);
  __syncthreads();
  const Word total = shared->total;
  __syncthreads();
  return total;
}

// The largest key such that candidates from it upwards, none below `floor`, weigh at least `target`. The total must
// reach it.
template <typename Weight>
__device__ __forceinline__ Word SelectKey(const Row& row, Word floor, Word target, const Weight& weight,
                                          Shared* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  Word prefix = 0;  // the digits chosen so far
  if (thread == 0) shared->remaining = target;
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int i = thread; i < kBins; i += kThreads) shared->bins[i] = 0;
    __syncthreads();
    int run_bin = -1;
    Word run = 0;  // neighbours often share a bin: they are added up before they meet the other threads'
    for (int i = thread; i < row.size; i += kThreads) {
      const float logit = row.logits[i];
      const Word key = KeyOf(logit, i);
      if (!row.IsCandidate(logit) || key < floor || (shift < 56 && key >> (shift + 8) != prefix)) continue;
      const int bin = static_cast<int>(key >> shift & 0xff);
      if (bin != run_bin) {
        if (run_bin >= 0) atomicAdd(&shared->bins[run_bin], run);
        run_bin = bin;
        run = 0;
      }
      run += weight(logit);
    }
    if (run_bin >= 0) atomicAdd(&shared->bins[run_bin], run);
    __syncthreads();
    if (thread == 0) {
      Word remaining = shared->remaining;
      int bin = kBins - 1;
      while (bin > 0 && shared->bins[bin] < remaining) remaining -= shared->bins[bin--];
      shared->remaining = remaining;
      shared->selected = prefix << 8 | static_cast<Word>(bin);
    }
    __syncthreads();
    prefix = shared->selected;
  }
  return prefix;
}

// sampling/noise.h: -log(-log u), u from Philox of (seed, choice, position, token).
__device__ __forceinline__ float Gumbel(const DrawRow& draw, int token) {
  const auto index = static_cast<uint32_t>(token);
  const auto bits =
      Philox4x32({index >> 2, static_cast<uint32_t>(draw.position), static_cast<uint32_t>(draw.choice_index), 0u},
                 {static_cast<uint32_t>(draw.seed), static_cast<uint32_t>(draw.seed >> 32)});
  return -logf(-logf(UniformFromBits(bits[index & 3])));
}

__device__ __forceinline__ Word BestKey(const Row& row, Shared* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    shared->best = 0;
    shared->failed = 0;
  }
  __syncthreads();
  Word best = 0;
  bool finite = true;
  for (int i = thread; i < row.size; i += kThreads) {
    const float logit = row.logits[i];
    finite = finite && (FloatToBits(logit) & 0x7f800000u) != 0x7f800000u;
    const Word key = KeyOf(logit, i);
    best = key > best ? key : best;
  }
  if (!finite) atomicAdd(&shared->failed, 1);
  atomicMax(&shared->best, best);
  __syncthreads();
  best = shared->best;
  __syncthreads();
  return best;
}

__device__ __forceinline__ int DrawToken(const Row& row, const DrawRow& draw, Shared* shared) {
  Word floor = 0;
  if (draw.top_k > 0) {
    const auto one = [](float) -> Word { return 1; };
    const auto wanted = static_cast<Word>(draw.top_k);
    if (TotalWeight(row, floor, one, shared) > wanted) floor = SelectKey(row, floor, wanted, one, shared);
  }
  if (draw.top_p < 1.0f) {
    const auto mass = [&](float logit) { return row.Mass(logit); };
    const Word total = TotalWeight(row, floor, mass, shared);
    auto target = static_cast<Word>(static_cast<double>(draw.top_p) * static_cast<double>(total));
    if (target == 0) target = 1;
    floor = SelectKey(row, floor, target, mass, shared);
  }
  const bool filtered = floor > 0 || draw.min_p > 0.0f;
  if (threadIdx.x == 0) shared->best = 0;
  __syncthreads();
  Word best = 0;
  for (int i = static_cast<int>(threadIdx.x); i < row.size; i += kThreads) {
    const float logit = row.logits[i];
    if (!row.IsCandidate(logit) || KeyOf(logit, i) < floor) continue;
    if (filtered && draw.min_p > 0.0f && row.Relative(logit) < draw.min_p) continue;
    const Word key = KeyOf(logit / row.temperature + Gumbel(draw, i), i);
    best = key > best ? key : best;
  }
  atomicMax(&shared->best, best);
  __syncthreads();
  return TokenOf(shared->best);
}

__global__ void __launch_bounds__(kThreads) Sample(SampleParams p) {
  auto* shared = reinterpret_cast<Shared*>(SharedMemory());
  const int64_t index = blockIdx.x;
  const DrawRow draw = p.rows[index];
  Row row{p.logits + index * p.vocab_size, p.vocab_size, 0.0f, draw.temperature};
  const Word best = BestKey(row, shared);
  int token = TokenOf(best);
  if (shared->failed != 0) {
    token = -1;
  } else if (draw.temperature > 0.0f) {
    row.best = LogitOf(best);
    token = DrawToken(row, draw, shared);
  }
  if (threadIdx.x == 0) p.tokens[index] = token;
}

}  // namespace

void LaunchSample(const SampleParams& p, void* stream) {
  Launch<Sample>({{static_cast<unsigned>(p.num_rows), 1, 1}, kThreads, sizeof(Shared), stream}, p);
}

}  // namespace millrace::cuda
