#include "kernels/moe/moe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "base/dequantize.h"
#include "kernels/linear/linear.h"
#include "kernels/moe/moe_kernels.h"

namespace millrace::kernels {
namespace {

struct Config {
  DType dtype = DType::kF32;
  RouterKind router = RouterKind::kSoftmaxTopK;
  bool norm_topk_prob = true;
  int num_experts = 6;
  int k = 2;
  int64_t hidden = 64;
  int64_t intermediate = 96;
  bool shared = false;
  float scale = 1.0f;
};

// A matrix in its stored type with the values that it means.
struct Weights {
  int64_t rows, cols;
  std::vector<std::byte> bytes;
  std::vector<float> values;
  std::vector<float> bias;

  Weights(DType dtype, int64_t num_rows, int64_t num_cols, std::mt19937& rng) : rows(num_rows), cols(num_cols) {
    std::normal_distribution<float> normal(0.0f, 1.0f / std::sqrt(static_cast<float>(cols)));
    values.resize(rows * cols);
    for (float& v : values) v = normal(rng);
    bytes.resize(rows * RowBytes(dtype, cols));
    for (int64_t r = 0; r < rows; ++r) {
      QuantizeRow(dtype, values.data() + r * cols, bytes.data() + r * RowBytes(dtype, cols), cols);
      DequantizeRow(dtype, bytes.data() + r * RowBytes(dtype, cols), values.data() + r * cols, cols);
    }
    for (int64_t r = 0; r < rows; ++r) bias.push_back(0.1f * normal(rng));
  }
  std::vector<double> Apply(const std::vector<double>& x) const {
    std::vector<double> y(rows);
    for (int64_t r = 0; r < rows; ++r) {
      y[r] = bias[r];
      for (int64_t i = 0; i < cols; ++i) y[r] += values[r * cols + i] * x[i];
    }
    return y;
  }
};

class Layer {
 public:
  explicit Layer(const Config& config) : config_(config) {
    std::mt19937 rng(5);
    const auto add = [&](DType dtype, int64_t rows, int64_t cols, bool gated) {
      weights_.emplace_back(dtype, rows, cols, rng);
      Weights& w = weights_.back();
      const int64_t half = rows / 2;
      const WeightRows whole{.dtype = dtype, .rows = rows, .cols = cols, .data = w.bytes.data()};
      const WeightRows gate{.dtype = dtype, .rows = half, .cols = cols, .data = w.bytes.data()};
      const WeightRows up{
          .dtype = dtype, .rows = half, .cols = cols, .data = w.bytes.data() + half * RowBytes(dtype, cols)};
      const WeightRows pair[2] = {gate, up};
      ErrorText error;
      PackedMatrix* matrix = PackMatrixCpu(SelectIsa().value(), nullptr, gated ? pair : &whole, gated ? 2 : 1,
                                           w.bias.data(), gated, &error);
      CHECK(matrix != nullptr, "{}", error.text);
      packed_.push_back(matrix);
      return matrix;
    };
    weights_.reserve(2 * config.num_experts + 4);
    args_.router = add(DType::kF32, config.num_experts, config.hidden, false);
    for (int e = 0; e < config.num_experts; ++e) {
      gate_up_.push_back(add(config.dtype, 2 * config.intermediate, config.hidden, true));
      down_.push_back(add(config.dtype, config.hidden, config.intermediate, false));
    }
    if (config.shared) {
      args_.shared_gate_up = add(config.dtype, 2 * config.intermediate, config.hidden, true);
      args_.shared_down = add(config.dtype, config.hidden, config.intermediate, false);
      args_.shared_expert_gate = add(DType::kF32, 1, config.hidden, false);
      args_.shared_intermediate = config.intermediate;
    }
    norm_weight_.assign(config.hidden, 1.5f);
    args_.hidden = config.hidden;
    args_.pre_norm = {.kind = NormKind::kRms, .weight = norm_weight_.data(), .eps = 1e-6f};
    args_.router_kind = config.router;
    args_.norm_topk_prob = config.norm_topk_prob;
    args_.num_experts = config.num_experts;
    args_.num_experts_per_tok = config.k;
    args_.gate_up = gate_up_.data();
    args_.down = down_.data();
    args_.intermediate = config.intermediate;
    args_.scale = config.scale;
  }
  ~Layer() {
    for (PackedMatrix* matrix : packed_) FreeMatrixCpu(matrix);
  }

  std::vector<float> Run(int threads, std::vector<float> x) const {
    ThreadPool pool(threads);
    const int64_t tokens = static_cast<int64_t>(x.size()) / config_.hidden;
    const WorkspaceQuery query{.max_tokens = tokens,
                               .max_rows = tokens,
                               .max_k = std::max(config_.hidden, config_.intermediate),
                               .max_n = std::max(config_.hidden, 2 * config_.intermediate),
                               .max_intermediate = config_.intermediate,
                               .num_experts = config_.num_experts,
                               .num_experts_per_tok = config_.k};
    Workspace workspace(*Buffer::Allocate(MoeWorkspaceBytes(query)));
    OpContext context{.pool = &pool, .workspace = &workspace};
    MoeArgs args = args_;
    args.x = x.data();
    args.num_tokens = tokens;
    MoeCpu(&context, &args);
    return x;
  }

  std::vector<float> RunRef(std::vector<float> x) const {
    for (int64_t t = 0; t < static_cast<int64_t>(x.size()) / config_.hidden; ++t)
      TokenRef(x.data() + t * config_.hidden);
    return x;
  }

 private:
  std::vector<double> ExpertRef(const Weights& gate_up, const Weights& down, const std::vector<double>& x) const {
    const std::vector<double> both = gate_up.Apply(x);
    std::vector<double> inner(config_.intermediate);
    for (int64_t i = 0; i < config_.intermediate; ++i)
      inner[i] = both[i] / (1 + std::exp(-both[i])) * both[config_.intermediate + i];
    return down.Apply(inner);
  }

  void TokenRef(float* x) const {
    double square = 1e-6;
    for (int64_t i = 0; i < config_.hidden; ++i) square += static_cast<double>(x[i]) * x[i] / config_.hidden;
    std::vector<double> normed(config_.hidden);
    for (int64_t i = 0; i < config_.hidden; ++i) normed[i] = x[i] / std::sqrt(square) * 1.5;
    const std::vector<double> logits = weights_[0].Apply(normed);
    std::vector<int> order(config_.num_experts);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
    double all = 0, chosen = 0;
    for (int e = 0; e < config_.num_experts; ++e) {
      all += std::exp(logits[order[e]]);
      if (e < config_.k) chosen += std::exp(logits[order[e]]);
    }
    const double divisor = config_.router == RouterKind::kTopKSoftmax || config_.norm_topk_prob ? chosen : all;
    std::vector<double> sum(config_.hidden, 0.0);
    const auto add = [&](double weight, const std::vector<double>& y) {
      for (int64_t i = 0; i < config_.hidden; ++i) sum[i] += weight * y[i];
    };
    for (int j = 0; j < config_.k; ++j) {
      add(std::exp(logits[order[j]]) / divisor,
          ExpertRef(weights_[1 + 2 * order[j]], weights_[2 + 2 * order[j]], normed));
    }
    if (config_.shared) {
      const size_t first = 1 + 2 * config_.num_experts;
      add(1 / (1 + std::exp(-weights_[first + 2].Apply(normed)[0])),
          ExpertRef(weights_[first], weights_[first + 1], normed));
    }
    for (int64_t i = 0; i < config_.hidden; ++i) x[i] = static_cast<float>(x[i] + config_.scale * sum[i]);
  }

  Config config_;
  std::vector<Weights> weights_;
  std::vector<PackedMatrix*> packed_;
  std::vector<const PackedMatrix*> gate_up_, down_;
  std::vector<float> norm_weight_;
  MoeArgs args_;
};

std::vector<float> Tokens(int64_t tokens, int64_t hidden) {
  std::mt19937 rng(8);
  std::normal_distribution<float> normal;
  std::vector<float> x(tokens * hidden);
  for (float& v : x) v = normal(rng);
  return x;
}

TEST(Moe, MatchesTheReferenceForEveryRouter) {
  for (const Config& config :
       {Config{}, Config{.norm_topk_prob = false, .shared = true, .scale = 0.5f},
        Config{.router = RouterKind::kTopKSoftmax, .num_experts = 5, .k = 4}, Config{.num_experts = 3, .k = 3}}) {
    const Layer layer(config);
    const std::vector<float> x = Tokens(23, config.hidden);
    const std::vector<float> expected = layer.RunRef(x);
    const std::vector<float> actual = layer.Run(2, x);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 3e-5) << i;
  }
}

TEST(Moe, BitsDoNotDependOnTheBatchOrTheThreads) {
  for (const DType dtype : {DType::kQ4_0, DType::kBF16}) {
    const Config config{.dtype = dtype, .num_experts = 8, .k = 3, .shared = true};
    const Layer layer(config);
    const std::vector<float> x = Tokens(kMoeChunkTokens + 3, config.hidden);
    const std::vector<float> together = layer.Run(1, x);
    EXPECT_EQ(together, layer.Run(3, x));
    for (const int64_t t : {int64_t{0}, int64_t{17}, kMoeChunkTokens - 1, kMoeChunkTokens, kMoeChunkTokens + 2}) {
      const auto row = [&](const std::vector<float>& all) {
        return std::vector<float>(all.begin() + t * config.hidden, all.begin() + (t + 1) * config.hidden);
      };
      EXPECT_EQ(layer.Run(2, row(x)), row(together)) << t;
    }
  }
}

TEST(RouteToken, TiesGoToTheLowestExpert) {
  const float logits[5] = {1.0f, 2.0f, 2.0f, 1.0f, 2.0f};
  int32_t experts[4];
  float weights[4];
  RouteToken({.num_experts = 5, .num_experts_per_tok = 4}, logits, experts, weights);
  EXPECT_THAT(experts, testing::ElementsAre(1, 2, 4, 0));
  EXPECT_FLOAT_EQ(weights[0] + weights[1] + weights[2] + weights[3], 1.0f);
}

TEST(RouteToken, NaNReachesEveryWeightAndExpertsStayValid) {
  const float logits[3] = {NAN, 2.0f, NAN};
  int32_t experts[2];
  float weights[2];
  RouteToken({.num_experts = 3, .num_experts_per_tok = 2}, logits, experts, weights);
  EXPECT_THAT(experts, testing::Each(testing::AllOf(testing::Ge(0), testing::Lt(3))));
  EXPECT_NE(experts[0], experts[1]);
  EXPECT_THAT(weights, testing::Each(testing::IsNan()));
}

TEST(CombineExperts, EveryIsaHandlesRemainders) {
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (!IsaAvailable(isa)) continue;
    for (const int64_t n : {1, 15, 16, 33}) {
      std::vector<float> a(n, 2.0f), b(n, 3.0f), x(n + 1, 1.0f);
      const float weights[2] = {0.5f, 0.25f};
      const float* rows[2] = {a.data(), b.data()};
      GetCombineKernel(isa)({2, weights, rows, 2.0f, n, x.data()});
      for (int64_t i = 0; i < n; ++i) EXPECT_EQ(x[i], 4.5f);
      EXPECT_EQ(x[n], 1.0f);
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
