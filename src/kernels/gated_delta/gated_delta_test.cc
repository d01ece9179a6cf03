#include "kernels/gated_delta/gated_delta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/gated_delta/gated_delta_kernels.h"

namespace millrace::kernels {
namespace {

struct Shape {
  int num_key_heads, num_value_heads, key_dim, value_dim, conv_kernel;
};

std::vector<float> Random(std::mt19937& rng, size_t n, float width) {
  std::normal_distribution<float> normal(0.0f, width);
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

// Inputs of several sequences, and one state for each, all pieces apart.
class Layer {
 public:
  Layer(const Shape& shape, std::vector<int> lengths) : lengths_(std::move(lengths)) {
    std::mt19937 rng(11);
    args_.num_key_heads = shape.num_key_heads;
    args_.num_value_heads = shape.num_value_heads;
    args_.key_head_dim = shape.key_dim;
    args_.value_head_dim = shape.value_dim;
    args_.conv_kernel = shape.conv_kernel;
    qkvz_stride_ = 2 * (shape.num_key_heads * shape.key_dim + shape.num_value_heads * shape.value_dim);
    ba_stride_ = 2 * shape.num_value_heads;
    out_stride_ = shape.num_value_heads * shape.value_dim;
    for (const int length : lengths_) {
      qkvz_.push_back(Random(rng, length * qkvz_stride_, 1.0f));
      ba_.push_back(Random(rng, length * ba_stride_, 1.0f));
      out_.emplace_back(length * out_stride_);
      states_.emplace_back();
      states_.back().emplace_back((shape.conv_kernel - 1) * ConvChannels(args_), NAN);
      for (int h = 0; h < shape.num_value_heads; ++h) states_.back().emplace_back(shape.key_dim * shape.value_dim, NAN);
      done_.push_back(0);
    }
    conv_weight_ = Random(rng, ConvChannels(args_) * shape.conv_kernel, 0.5f);
    a_log_ = Random(rng, shape.num_value_heads, 1.0f);
    dt_bias_ = Random(rng, shape.num_value_heads, 1.0f);
    norm_weight_ = Random(rng, shape.value_dim, 1.0f);
  }

  // One step that brings counts[i] more tokens of sequence i.
  template <typename RunFn>
  void Step(const std::vector<int>& counts, const RunFn& run) {
    std::vector<float> qkvz, ba;
    std::vector<int32_t> query_start = {0};
    std::vector<const float*> state_in;
    std::vector<float*> state_out;
    for (size_t i = 0; i < counts.size(); ++i) {
      qkvz.insert(qkvz.end(), qkvz_[i].begin() + done_[i] * qkvz_stride_,
                  qkvz_[i].begin() + (done_[i] + counts[i]) * qkvz_stride_);
      ba.insert(ba.end(), ba_[i].begin() + done_[i] * ba_stride_, ba_[i].begin() + (done_[i] + counts[i]) * ba_stride_);
      query_start.push_back(query_start.back() + counts[i]);
      for (std::vector<float>& piece : states_[i]) {
        state_in.push_back(done_[i] == 0 ? nullptr : piece.data());
        state_out.push_back(piece.data());
      }
    }
    std::vector<float> out(query_start.back() * out_stride_);
    GatedDeltaArgs args = args_;
    args.qkvz = qkvz.data();
    args.qkvz_stride = qkvz_stride_;
    args.ba = ba.data();
    args.ba_stride = ba_stride_;
    args.conv_weight = conv_weight_.data();
    args.a_log = a_log_.data();
    args.dt_bias = dt_bias_.data();
    args.out_norm = {.kind = NormKind::kRms, .weight = norm_weight_.data(), .eps = 1e-6f};
    args.num_rows = static_cast<int>(counts.size());
    args.query_start = query_start.data();
    args.state_in = state_in.data();
    args.state_out = state_out.data();
    args.out = out.data();
    args.out_stride = out_stride_;
    run(args);
    for (size_t i = 0; i < counts.size(); ++i) {
      std::copy(out.begin() + query_start[i] * out_stride_, out.begin() + query_start[i + 1] * out_stride_,
                out_[i].begin() + done_[i] * out_stride_);
      done_[i] += counts[i];
    }
  }
  const std::vector<std::vector<float>>& out() const { return out_; }
  const std::vector<std::vector<std::vector<float>>>& states() const { return states_; }

 private:
  std::vector<int> lengths_;
  GatedDeltaArgs args_;
  int64_t qkvz_stride_ = 0, ba_stride_ = 0, out_stride_ = 0;
  std::vector<std::vector<float>> qkvz_, ba_, out_;
  std::vector<std::vector<std::vector<float>>> states_;
  std::vector<int> done_;
  std::vector<float> conv_weight_, a_log_, dt_bias_, norm_weight_;
};

std::vector<Isa> AvailableIsas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (IsaAvailable(isa)) isas.push_back(isa);
  }
  return isas;
}

constexpr Shape kShapes[] = {{2, 4, 16, 16, 4}, {1, 1, 8, 24, 2}, {2, 2, 40, 136, 3}, {1, 3, 128, 128, 4}};

TEST(GatedDelta, MatchesTheReference) {
  ThreadPool pool(2);
  OpContext context{.pool = &pool};
  for (const Shape& shape : kShapes) {
    Layer expected(shape, {9, 3});
    expected.Step({7, 1}, [](const GatedDeltaArgs& args) { GatedDeltaRef(args); });
    expected.Step({2, 2}, [](const GatedDeltaArgs& args) { GatedDeltaRef(args); });
    for (const Isa isa : AvailableIsas()) {
      const auto run = [&](const GatedDeltaArgs& args) { RunGatedDelta(GetGatedDeltaKernel(isa), &context, args); };
      Layer actual(shape, {9, 3});
      actual.Step({7, 1}, run);
      actual.Step({2, 2}, run);
      for (size_t i = 0; i < 2; ++i) {
        for (size_t j = 0; j < expected.out()[i].size(); ++j) {
          ASSERT_NEAR(actual.out()[i][j], expected.out()[i][j], 5e-5f * (1 + std::fabs(expected.out()[i][j])))
              << IsaName(isa) << j;
        }
        for (size_t piece = 0; piece < expected.states()[i].size(); ++piece) {
          for (size_t j = 0; j < expected.states()[i][piece].size(); ++j) {
            ASSERT_NEAR(actual.states()[i][piece][j], expected.states()[i][piece][j], 2e-6f)
                << IsaName(isa) << piece << " " << j;
          }
        }
      }
    }
  }
}

TEST(GatedDelta, ChunkingBatchingAndThreadsKeepTheBits) {
  ThreadPool one(1), three(3);
  OpContext alone{.pool = &one}, many{.pool = &three};
  for (const Shape& shape : kShapes) {
    for (const Isa isa : AvailableIsas()) {
      const auto run_alone = [&](const GatedDeltaArgs& args) { RunGatedDelta(GetGatedDeltaKernel(isa), &alone, args); };
      const auto run_many = [&](const GatedDeltaArgs& args) { RunGatedDelta(GetGatedDeltaKernel(isa), &many, args); };
      Layer whole(shape, {12, 7}), chunked(shape, {12, 7}), separate(shape, {12, 7});
      whole.Step({12, 7}, run_many);
      for (const std::vector<int>& counts : {std::vector<int>{1, 2}, {5, 1}, {1, 3}, {5, 1}})
        chunked.Step(counts, run_many);
      separate.Step({12, 0}, run_alone);
      separate.Step({0, 7}, run_alone);
      EXPECT_EQ(whole.out(), chunked.out());
      EXPECT_EQ(whole.states(), chunked.states());
      EXPECT_EQ(whole.out()[0], separate.out()[0]);
      EXPECT_EQ(whole.states()[0], separate.states()[0]);
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
