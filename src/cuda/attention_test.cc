// Rope, KV write and attention on the emulated GPU against the references of the CPU, through a paged cache filled step
// by step.
#include "cuda/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "base/half.h"
#include "cuda/test_device.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/kv_layout.h"
#include "kernels/rope/rope.h"
#include "kernels/rope_kv_write/rope_kv_write_kernels.h"

namespace millrace::cuda {
namespace {

using namespace kernels;  // NOLINT

struct Shape {
  int num_heads = 4, num_kv_heads = 2, head_dim = 64;
  int window = 0;
  float softcap = 0.0f;
  bool sinks = false, gate = false;
  int rotary_dim = 0;  // 0: no rope
  bool interleaved = false;
  NormKind norm = NormKind::kNone;
  bool norm_whole_row = false;

  int width() const { return (num_heads + 2 * num_kv_heads) * head_dim; }
};

// A step brings tokens [begin, end) of a sequence.
struct Row {
  int sequence, begin, end;
};
using Step = std::vector<Row>;
using Outputs = std::vector<std::vector<float>>;  // by token of the step

constexpr int kBlocks = 160, kMaxBlocksPerSequence = 48;

// A cache of one layer, somewhere in bigger blocks, with everything of other layers poisoned.
class Cache {
 public:
  Cache(const Shape& shape, bool cuda) : shape_(shape), cuda_(cuda) {
    const int64_t layer = cuda ? device_.ops.kv_layer_bytes(DType::kBF16, shape.num_kv_heads, shape.head_dim)
                               : KvLayerBytesCpu(DType::kBF16, shape.num_kv_heads, shape.head_dim);
    pool_.assign(static_cast<size_t>(kBlocks * 3 * layer), std::byte{0xff});
    if (cuda) device_pool_ = std::make_unique<DeviceArray<std::byte>>(pool_);
    kv_ = {
        cuda ? device_pool_->data() : pool_.data(), 3 * layer, layer, DType::kBF16, shape.num_kv_heads, shape.head_dim};
    std::mt19937_64 rng(5);
    std::vector<int32_t> ids(kBlocks);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), rng);
    for (int s = 0; s < kBlocks / kMaxBlocksPerSequence; ++s) {
      tables_.emplace_back(ids.begin() + s * kMaxBlocksPerSequence, ids.begin() + (s + 1) * kMaxBlocksPerSequence);
    }
    std::normal_distribution<float> normal(1.0f, 0.2f);
    for (int i = 0; i < shape.num_heads * shape.head_dim; ++i) norm_weight_.push_back(normal(rng));
    for (int h = 0; h < shape.num_heads; ++h) sinks_.push_back(0.5f * static_cast<float>(h % 5) - 1.0f);
  }

  Outputs Run(const std::vector<std::vector<float>>& qkv, const Step& step) {
    std::vector<int32_t> query_start = {0}, context_len, positions, table_start = {0}, block_ids;
    std::vector<float> rows;
    for (const Row& row : step) {
      const auto from = qkv[static_cast<size_t>(row.sequence)].begin();
      rows.insert(rows.end(), from + row.begin * shape_.width(), from + row.end * shape_.width());
      for (int t = row.begin; t < row.end; ++t) positions.push_back(t);
      context_len.push_back(row.begin);
      query_start.push_back(query_start.back() + row.end - row.begin);
      const auto& table = tables_[static_cast<size_t>(row.sequence)];
      const int oldest = shape_.window > 0 ? std::max(0, row.begin - shape_.window + 1) / 16 : 0;
      for (int b = 0; b * 16 < row.end; ++b) block_ids.push_back(b < oldest ? -1 : table[static_cast<size_t>(b)]);
      table_start.push_back(static_cast<int32_t>(block_ids.size()));
    }
    const int tokens = query_start.back();
    AttentionBatch batch{static_cast<int>(step.size()),
                         tokens,
                         query_start.data(),
                         context_len.data(),
                         positions.data(),
                         nullptr,
                         table_start.data(),
                         block_ids.data(),
                         nullptr};
    std::vector<float> inv_freq(static_cast<size_t>(shape_.rotary_dim / 2)),
        cos_sin(static_cast<size_t>(tokens * shape_.rotary_dim) + 1);
    for (size_t i = 0; i < inv_freq.size(); ++i)
      inv_freq[i] = std::pow(100.0f, -static_cast<float>(i) / static_cast<float>(inv_freq.size()));
    for (int t = 0; t < tokens; ++t) {
      for (size_t i = 0; i < inv_freq.size(); ++i) {
        const float angle = static_cast<float>(positions[static_cast<size_t>(t)]) * inv_freq[i];
        cos_sin[(static_cast<size_t>(t) * inv_freq.size() + i) * 2] = std::cos(angle);
        cos_sin[(static_cast<size_t>(t) * inv_freq.size() + i) * 2 + 1] = std::sin(angle);
      }
    }
    RopeKvWriteArgs write;
    write.qkv = rows.data();
    write.stride = shape_.width();
    write.num_heads = shape_.num_heads;
    write.q_norm = write.k_norm = {shape_.norm, norm_weight_.data(), nullptr, 1e-5f};
    write.norm_whole_row = shape_.norm_whole_row;
    write.cos_sin = shape_.rotary_dim > 0 ? cos_sin.data() : nullptr;
    write.rotary_dim = shape_.rotary_dim;
    write.rope_interleaved = shape_.interleaved;
    write.kv = kv_;
    write.batch = &batch;
    const int q_size = shape_.num_heads * shape_.head_dim;
    std::vector<float> out(static_cast<size_t>(tokens * (q_size + 1)), NAN);
    AttentionArgs attend;
    attend.q = rows.data();
    attend.q_stride = shape_.width();
    attend.num_heads = shape_.num_heads;
    attend.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
    attend.window = shape_.window;
    attend.softcap = shape_.softcap;
    attend.sinks = shape_.sinks ? sinks_.data() : nullptr;
    attend.kv = kv_;
    attend.batch = &batch;
    attend.out_gate = shape_.gate ? rows.data() : nullptr;
    attend.out_gate_stride = shape_.width();
    attend.out = out.data();
    attend.out_stride = q_size + 1;
    if (cuda_) {
      out = RunOnDevice(batch, rows, cos_sin, write, attend);
    } else {
      RopeKvWriteRef(write);
      AttentionRef(attend);
    }
    Outputs by_token;
    for (int t = 0; t < tokens; ++t)
      by_token.emplace_back(out.begin() + t * (q_size + 1), out.begin() + t * (q_size + 1) + q_size);
    return by_token;
  }

 private:
  // The same arguments with every array on the device; the outputs.
  std::vector<float> RunOnDevice(const AttentionBatch& host, const std::vector<float>& rows,
                                 const std::vector<float>& cos_sin, RopeKvWriteArgs write, AttentionArgs attend) {
    const auto copy = [](const int32_t* values, int64_t n) {
      return DeviceArray<int32_t>(std::vector<int32_t>(values, values + n));
    };
    DeviceArray<int32_t> query_start = copy(host.query_start, host.num_rows + 1),
                         context_len = copy(host.context_len, host.num_rows);
    DeviceArray<int32_t> table_start = copy(host.table_start, host.num_rows + 1);
    DeviceArray<int32_t> block_ids = copy(host.block_ids, host.table_start[host.num_rows]);
    DeviceArray<float> qkv(rows), angles(cos_sin), norm(norm_weight_), sinks(sinks_);
    DeviceArray<float> out(std::vector<float>(static_cast<size_t>(host.num_tokens * attend.out_stride), NAN));
    const AttentionBatch batch{host.num_rows,      host.num_tokens,  query_start.data(),
                               context_len.data(), nullptr,          nullptr,
                               table_start.data(), block_ids.data(), &host};
    write.qkv = qkv.data();
    write.q_norm.weight = write.k_norm.weight = norm.data();
    write.cos_sin = write.cos_sin != nullptr ? angles.data() : nullptr;
    write.batch = attend.batch = &batch;
    attend.q = qkv.data();
    attend.sinks = attend.sinks != nullptr ? sinks.data() : nullptr;
    attend.out_gate = attend.out_gate != nullptr ? qkv.data() : nullptr;
    attend.out = out.data();
    device_.ops.rope_kv_write(&device_.context, &write);
    device_.ops.attention(&device_.context, &attend);
    for (const std::byte b : device_.state.Read()) EXPECT_EQ(b, std::byte{0}) << "tickets must be zero after a step";
    return out.Read();
  }

  const Shape shape_;
  const bool cuda_;
  TestDevice device_;
  std::vector<std::byte> pool_;
  std::unique_ptr<DeviceArray<std::byte>> device_pool_;
  KvCacheView kv_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<float> norm_weight_, sinks_;
};

std::vector<std::vector<float>> RandomSequences(const Shape& shape, const std::vector<int>& lengths) {
  std::mt19937_64 rng(11);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> qkv;
  for (const int length : lengths) {
    qkv.emplace_back(static_cast<size_t>(length * shape.width()));
    for (float& value : qkv.back()) value = Bf16ToF32(F32ToBf16(normal(rng)));
  }
  return qkv;
}

void ExpectSteps(const Shape& shape, const std::vector<Step>& steps) {
  const auto qkv = RandomSequences(shape, {700, 90, 300});
  Cache cuda(shape, true), reference(shape, false);
  for (size_t s = 0; s < steps.size(); ++s) {
    const ScopedSchedule schedule(s);
    const Outputs actual = cuda.Run(qkv, steps[s]), expected = reference.Run(qkv, steps[s]);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t t = 0; t < actual.size(); ++t) {
      for (size_t i = 0; i < actual[t].size(); ++i) {
        // q, k and probabilities lose 2^-9 of themselves; values are about 4 at most.
        ASSERT_NEAR(actual[t][i], expected[t][i], 4.0 / 256) << "step " << s << ", token " << t << ", element " << i;
      }
    }
  }
}

TEST(CudaAttention, PrefillAppendAndDecode) {
  const std::vector<Step> steps = {{{0, 0, 150}, {1, 0, 1}},
                                   {{1, 1, 4}, {0, 150, 290}},
                                   {{2, 0, 5}, {0, 290, 291}, {1, 4, 5}},
                                   {{0, 291, 530}},
                                   {{0, 530, 531}, {2, 5, 60}}};
  ExpectSteps({.rotary_dim = 64}, steps);
  ExpectSteps({.num_heads = 6, .num_kv_heads = 2, .head_dim = 128, .rotary_dim = 64, .norm = NormKind::kRms}, steps);
}

TEST(CudaAttention, EveryVariant) {
  const std::vector<Step> steps = {
      {{0, 0, 40}, {1, 0, 3}}, {{0, 40, 41}, {1, 3, 30}}, {{0, 41, 300}, {1, 30, 31}}, {{0, 300, 301}}};
  ExpectSteps({.head_dim = 40, .window = 50}, steps);
  ExpectSteps({.num_heads = 2, .num_kv_heads = 1, .head_dim = 96, .window = 17, .rotary_dim = 96, .interleaved = true},
              steps);
  ExpectSteps({.num_heads = 8, .num_kv_heads = 1, .head_dim = 32, .softcap = 3.0f, .sinks = true}, steps);
  ExpectSteps({.num_heads = 2, .num_kv_heads = 2, .head_dim = 256, .gate = true}, {{{0, 0, 20}}, {{0, 20, 21}}});
  ExpectSteps({.head_dim = 64, .rotary_dim = 32, .norm = NormKind::kRms, .norm_whole_row = true},
              {{{0, 0, 20}}, {{0, 20, 21}}});
  ExpectSteps({.num_heads = 40, .num_kv_heads = 2, .head_dim = 8}, {{{0, 0, 2}, {1, 0, 9}}, {{0, 2, 3}, {1, 9, 10}}});
}

TEST(CudaAttention, TheSameBitsHoweverTheSequenceIsCut) {
  for (const int window : {0, 70}) {
    const Shape shape{
        .head_dim = 64, .window = window, .softcap = window > 0 ? 5.0f : 0.0f, .sinks = window > 0, .rotary_dim = 64};
    const auto qkv = RandomSequences(shape, {700, 90, 300});
    Cache uncut(shape, true);
    const Outputs whole = uncut.Run(qkv, {{0, 0, 540}});
    Cache cut(shape, true);
    uint64_t seed = 1;
    for (const Step& step : std::vector<Step>{{{1, 0, 20}, {0, 0, 255}},
                                              {{0, 255, 256}},
                                              {{0, 256, 259}, {1, 20, 21}, {2, 0, 30}},
                                              {{0, 259, 500}},
                                              {{1, 21, 60}, {0, 500, 508}},
                                              {{0, 508, 540}}}) {
      const ScopedSchedule schedule(seed++);
      const Outputs out = cut.Run(qkv, step);
      size_t token = 0;
      for (const Row& row : step) {
        for (int t = row.begin; t < row.end; ++t, ++token) {
          if (row.sequence != 0) continue;
          ASSERT_EQ(out[token], whole[static_cast<size_t>(t)]) << "window " << window << ", token " << t;
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace::cuda
