#include "kernels/rope_kv_write/rope_kv_write.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/half.h"
#include "kernels/rope/rope.h"
#include "kernels/rope_kv_write/rope_kv_write_kernels.h"

namespace millrace::kernels {
namespace {

struct Case {
  DType dtype = DType::kF32;
  int num_heads = 4;
  int num_kv_heads = 2;
  int head_dim = 64;
  int rotary_dim = 64;
  bool interleaved = false;
  NormKind norm = NormKind::kNone;
  bool whole_row = false;
};

// Three rows: a decode in the middle of a block, a prefill over three blocks, and a chunk whose first block was freed.
class Step {
 public:
  explicit Step(const Case& c) : case_(c) {
    const int width = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
    stride_ = width + 3;
    std::mt19937 rng(3);
    std::normal_distribution<float> normal;
    const auto random = [&](size_t n) {
      std::vector<float> x(n);
      for (float& v : x) v = normal(rng);
      return x;
    };
    qkv_ = random(query_start_[3] * stride_);
    q_weight_ = random(c.num_heads * c.head_dim);
    k_weight_ = random(c.num_kv_heads * c.head_dim);
    std::vector<float> inv_freq(c.rotary_dim / 2);
    for (size_t i = 0; i < inv_freq.size(); ++i)
      inv_freq[i] = std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(c.rotary_dim));
    std::vector<int32_t> positions;
    for (int row = 0; row < 3; ++row) {
      for (int t = query_start_[row]; t < query_start_[row + 1]; ++t)
        positions.push_back(context_len_[row] + t - query_start_[row]);
    }
    cos_sin_.resize(positions.size() * c.rotary_dim);
    FillCosSin(inv_freq.data(), c.rotary_dim / 2, 1.0f, positions.data(), static_cast<int64_t>(positions.size()),
               cos_sin_.data());
    const int64_t layer_bytes = KvLayerBytesCpu(c.dtype, c.num_kv_heads, c.head_dim);
    pool_.assign(10 * layer_bytes + 64, std::byte{0x11});
    batch_ = {.num_rows = 3,
              .num_tokens = query_start_[3],
              .query_start = query_start_.data(),
              .context_len = context_len_.data(),
              .table_start = table_start_.data(),
              .block_ids = block_ids_.data()};
    args_ = {.qkv = qkv_.data(),
             .stride = stride_,
             .num_heads = c.num_heads,
             .q_norm = {.kind = c.norm, .weight = q_weight_.data(), .eps = 1e-6f},
             .k_norm = {.kind = c.norm, .weight = k_weight_.data(), .eps = 1e-6f},
             .norm_whole_row = c.whole_row,
             .cos_sin = cos_sin_.data(),
             .rotary_dim = c.rotary_dim,
             .rope_interleaved = c.interleaved,
             .kv = {.blocks = pool_.data(),
                    .block_bytes = layer_bytes + 64,
                    .layer_offset = 0,
                    .dtype = c.dtype,
                    .num_kv_heads = c.num_kv_heads,
                    .head_dim = c.head_dim},
             .batch = &batch_};
    pool_.resize(8 * args_.kv.block_bytes, std::byte{0x11});
    args_.kv.blocks = pool_.data();
  }

  RopeKvWriteArgs& args() { return args_; }
  const std::vector<float>& qkv() const { return qkv_; }
  const std::vector<std::byte>& pool() const { return pool_; }
  // Every value of the pool, scales included, as f32.
  std::vector<float> CacheValues() const {
    std::vector<float> values;
    const KvLayout layout = KvLayout::Make(case_.dtype, case_.head_dim);
    for (int block = 0; block < 8; ++block) {
      for (int head = 0; head < case_.num_kv_heads; ++head) {
        const std::byte* part = KvHeadPart(args_.kv, layout, block, head);
        for (int64_t at = 0; at < layout.head_bytes;) {
          const bool scale = layout.k_scales > 0 && at >= layout.k_scales;
          if (scale || case_.dtype == DType::kF32) {
            float value;
            std::memcpy(&value, part + at, 4);
            values.push_back(value);
            at += 4;
          } else if (case_.dtype == DType::kI8) {
            values.push_back(static_cast<float>(part[at++]));
          } else if (case_.dtype == DType::kF8E4M3) {
            values.push_back(F8E4M3ToF32(static_cast<uint8_t>(part[at++])));
          } else {
            uint16_t half;
            std::memcpy(&half, part + at, 2);
            values.push_back(case_.dtype == DType::kBF16 ? Bf16ToF32(half) : F16ToF32(half));
            at += 2;
          }
        }
      }
    }
    return values;
  }

 private:
  Case case_;
  std::vector<int32_t> query_start_ = {0, 1, 38, 42};
  std::vector<int32_t> context_len_ = {5, 0, 14};
  std::vector<int32_t> table_start_ = {0, 1, 4, 6};
  std::vector<int32_t> block_ids_ = {3, 7, 1, 5, -1, 2};
  std::vector<float> qkv_, q_weight_, k_weight_, cos_sin_;
  std::vector<std::byte> pool_;
  int64_t stride_ = 0;
  AttentionBatch batch_;
  RopeKvWriteArgs args_;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {.head_dim = 64, .rotary_dim = 64},
      {.head_dim = 16, .rotary_dim = 16, .interleaved = true},
      {.num_heads = 3, .num_kv_heads = 3, .head_dim = 80, .rotary_dim = 20},
      {.num_heads = 3,
       .num_kv_heads = 1,
       .head_dim = 72,
       .rotary_dim = 36,
       .interleaved = true,
       .norm = NormKind::kRms},
      {.head_dim = 128, .rotary_dim = 128, .norm = NormKind::kRms},
      {.head_dim = 96, .rotary_dim = 96, .norm = NormKind::kRms, .whole_row = true},
      {.head_dim = 8, .rotary_dim = 8, .norm = NormKind::kLayer},
  };
  return cases;
}

TEST(RopeKvWrite, MatchesTheReferenceOnEveryIsa) {
  ThreadPool pool(3);
  OpContext context{.pool = &pool};
  for (Case c : Cases()) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kF8E4M3}) {
      c.dtype = dtype;
      Step expected(c);
      RopeKvWriteRef(expected.args());
      const std::vector<float> expected_cache = expected.CacheValues();
      // One unit in the last place of the stored type: the f32 inputs differ by rounding.
      const float step = dtype == DType::kBF16 ? 1.0f / 128 : dtype == DType::kF16 ? 1.0f / 1024 : 4e-6f;
      for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
        if (!IsaAvailable(isa)) continue;
        Step actual(c);
        RunRopeKvWrite(GetRopeKvWriteKernel(isa), &context, actual.args());
        for (size_t i = 0; i < expected.qkv().size(); ++i) {
          ASSERT_NEAR(actual.qkv()[i], expected.qkv()[i], 4e-6f * (1.0f + std::fabs(expected.qkv()[i])))
              << IsaName(isa) << i;
        }
        const std::vector<float> cache = actual.CacheValues();
        for (size_t i = 0; i < cache.size(); ++i) {
          const float tolerance = dtype == DType::kI8       ? 1.0f
                                  : dtype == DType::kF8E4M3 ? std::fabs(expected_cache[i]) / 8 + 0x1p-9f
                                                            : step * std::fabs(expected_cache[i]) + 1e-6f;
          ASSERT_NEAR(cache[i], expected_cache[i], tolerance)
              << IsaName(isa) << " " << DTypeName(dtype) << " dim " << c.head_dim << " at " << i;
        }
      }
    }
  }
}

// Every code comes back, and values between two codes go to the nearer one, to the even one in the middle.
TEST(RopeKvWrite, Fp8RoundsAsTheScalarConversionDoes) {
  ThreadPool pool(1);
  OpContext context{.pool = &pool};
  Case c{.num_heads = 1, .num_kv_heads = 1, .head_dim = 512, .rotary_dim = 0};
  c.dtype = DType::kF8E4M3;
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (!IsaAvailable(isa)) continue;
    Step step(c);
    step.args().cos_sin = nullptr;
    std::vector<float> expected;
    for (int64_t t = 0; t < step.args().batch->num_tokens; ++t) {
      float* k = step.args().qkv + t * step.args().stride + 512;
      for (int d = 0; d < 512; ++d) {
        const float low = F8E4M3ToF32(static_cast<uint8_t>(d / 4 % 126)),
                    high = F8E4M3ToF32(static_cast<uint8_t>(d / 4 % 126 + 1));
        const float parts[] = {0.0f, 0.5f, 0.499f, 0.501f};
        k[d] = (t % 2 == 0 ? 1.0f : -1.0f) * (low + parts[d % 4] * (high - low));
      }
      k[511] = 448.0f;
    }
    const KvLayout layout = KvLayout::Make(c.dtype, 512);
    RunRopeKvWrite(GetRopeKvWriteKernel(isa), &context, step.args());
    const std::byte* part = KvHeadPart(step.args().kv, layout, 7, 0);  // row 1, slots 0 to 15
    for (int lane = 0; lane < 16; ++lane) {
      const float* k = step.args().qkv + (1 + lane) * step.args().stride + 512;
      for (int d = 0; d < 512; ++d) {
        ASSERT_EQ(static_cast<uint8_t>(part[layout.KOffset(lane, d)]), F32ToF8E4M3(k[d]))
            << IsaName(isa) << " " << k[d];
      }
    }
  }
}

TEST(RopeKvWrite, BitsDoNotDependOnTheBatchOrTheThreads) {
  ThreadPool one(1);
  ThreadPool three(3);
  OpContext alone{.pool = &one};
  OpContext many{.pool = &three};
  for (Case c : Cases()) {
    c.dtype = DType::kI8;
    for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
      if (!IsaAvailable(isa)) continue;
      Step together(c);
      RunRopeKvWrite(GetRopeKvWriteKernel(isa), &many, together.args());
      Step split(c);
      const AttentionBatch whole = *split.args().batch;
      for (int row = 0; row < 3; ++row) {
        for (int t = whole.query_start[row]; t < whole.query_start[row + 1]; ++t) {
          const int32_t query_start[2] = {0, 1};
          const int32_t context_len = whole.context_len[row] + t - whole.query_start[row];
          AttentionBatch batch = whole;
          batch.num_rows = batch.num_tokens = 1;
          batch.query_start = query_start;
          batch.context_len = &context_len;
          batch.table_start = whole.table_start + row;
          RopeKvWriteArgs args = split.args();
          args.batch = &batch;
          args.qkv += t * args.stride;
          args.cos_sin += t * args.rotary_dim;
          RunRopeKvWrite(GetRopeKvWriteKernel(isa), &alone, args);
        }
      }
      EXPECT_EQ(together.qkv(), split.qkv());
      EXPECT_EQ(together.pool(), split.pool());
    }
  }
}

TEST(RopeKvWrite, F16SaturatesInsteadOfBecomingInfinite) {
  ThreadPool pool(1);
  OpContext context{.pool = &pool};
  const Case c{.dtype = DType::kF16};
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (!IsaAvailable(isa)) continue;
    Step step(c);
    step.args().qkv[(c.num_heads + c.num_kv_heads) * c.head_dim] = -1e6f;
    RunRopeKvWrite(GetRopeKvWriteKernel(isa), &context, step.args());
    const KvLayout layout = KvLayout::Make(c.dtype, c.head_dim);
    uint16_t half;
    std::memcpy(&half, KvHeadPart(step.args().kv, layout, 3, 0) + layout.VOffset(5, 0), 2);
    EXPECT_EQ(F16ToF32(half), -65504.0f) << IsaName(isa);
  }
}

TEST(FillCosSin, RoundsTheAngleToF32First) {
  const float inv_freq[2] = {1.0f, 0.37f};
  const int32_t positions[2] = {0, 100003};
  float out[8];
  FillCosSin(inv_freq, 2, 2.0f, positions, 2, out);
  EXPECT_EQ(out[0], 2.0f);
  EXPECT_EQ(out[1], 0.0f);
  const double angle = 100003.0f * 0.37f;
  EXPECT_EQ(out[6], static_cast<float>(std::cos(angle)) * 2.0f);
  EXPECT_EQ(out[7], static_cast<float>(std::sin(angle)) * 2.0f);
}

}  // namespace
}  // namespace millrace::kernels
