// Embedding, gathering and drawing on the emulated GPU against plain loops and the CPU's sampler.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "base/half.h"
#include "cuda/test_device.h"
#include "sampling/sampler.h"

namespace millrace::cuda {
namespace {

TEST(CudaRows, EmbedAndGather) {
  TestDevice device;
  const int hidden = 70;
  std::vector<uint16_t> table;
  for (int i = 0; i < 9 * hidden; ++i) table.push_back(F32ToF16(static_cast<float>(i) * 0.25f));
  std::vector<float> positions;
  for (int i = 0; i < 5 * hidden; ++i) positions.push_back(static_cast<float>(i % 13));
  DeviceArray<uint16_t> device_table(table);
  DeviceArray<float> device_positions(positions), x(std::vector<float>(3 * hidden, NAN)),
      gathered(std::vector<float>(2 * hidden, NAN));
  DeviceArray<int32_t> ids({8, 0, 3}), at({4, 1, 0}), rows({2, 0});
  const kernels::WeightRows tokens{DType::kF16, 9,      hidden, reinterpret_cast<std::byte*>(device_table.data()),
                                   nullptr,     nullptr};
  const kernels::WeightRows places{DType::kF32, 5,      hidden, reinterpret_cast<std::byte*>(device_positions.data()),
                                   nullptr,     nullptr};
  const kernels::EmbedArgs embed{&tokens, &places, ids.data(), at.data(), 3, 2.0f, x.data()};
  device.ops.embed(&device.context, &embed);
  const kernels::GatherRowsArgs gather{x.data(), hidden, rows.data(), 2, gathered.data()};
  device.ops.gather_rows(&device.context, &gather);
  const std::vector<float> got = x.Read(), picked = gathered.Read();
  const int expected_ids[] = {8, 0, 3}, expected_at[] = {4, 1, 0};
  for (int t = 0; t < 3; ++t) {
    for (int i = 0; i < hidden; ++i) {
      const float token = F16ToF32(table[static_cast<size_t>(expected_ids[t] * hidden + i)]);
      EXPECT_EQ(got[static_cast<size_t>(t * hidden + i)],
                token * 2.0f + positions[static_cast<size_t>(expected_at[t] * hidden + i)]);
    }
  }
  EXPECT_TRUE(std::equal(picked.begin(), picked.begin() + hidden, got.begin() + 2 * hidden));
  EXPECT_TRUE(std::equal(picked.begin() + hidden, picked.end(), got.begin()));
}

// Draws many positions from the same logits with one set of parameters, on both sides.
void ExpectSameDraws(const SamplingParams& params, const std::vector<float>& logits) {
  constexpr int kDraws = 24;
  const int vocab = static_cast<int>(logits.size());
  TestDevice device;
  Sampler sampler(vocab, {});
  SequenceStart start;
  start.sequence = 1;
  start.choice_index = 3;
  start.sampling = std::make_shared<const SamplingParams>(params);
  start.token_ids = {1};
  start.num_prompt_tokens = 1;
  sampler.Start(start);
  ASSERT_TRUE(sampler.PlanDeviceDraw(1).has_value());
  std::vector<kernels::SampleRow> rows;
  std::vector<float> many;
  for (int i = 0; i < kDraws; ++i) {
    rows.push_back({params.seed, 3, i + 5, params.temperature, params.top_k, params.top_p, params.min_p});
    many.insert(many.end(), logits.begin(), logits.end());
  }
  DeviceArray<kernels::SampleRow> device_rows(rows);
  DeviceArray<float> device_logits(many);
  DeviceArray<int32_t> tokens(std::vector<int32_t>(kDraws, -7));
  const kernels::SampleArgs args{device_logits.data(), device_rows.data(), vocab, kDraws, tokens.data()};
  device.ops.sample(&device.context, &args);
  const std::vector<int32_t> drawn = tokens.Read();
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> copy = logits;
    EXPECT_EQ(drawn[static_cast<size_t>(i)], sampler.Sample(1, i + 5, copy).token)
        << "draw " << i << ", temperature " << params.temperature << ", top-k " << params.top_k << ", top-p "
        << params.top_p << ", min-p " << params.min_p;
  }
}

TEST(CudaSample, DrawsWhatTheCpuDraws) {
  std::mt19937_64 rng(1);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> logits(1500);
  for (float& logit : logits) logit = normal(rng);
  logits[40] = logits[700] = *std::max_element(logits.begin(), logits.end());  // a tie at the top
  SamplingParams params;
  params.seed = 0x123456789abcdefull;
  for (const float temperature : {0.0f, 0.7f, 1.5f}) {
    for (const auto& [top_k, top_p, min_p] : {std::tuple{0, 1.0f, 0.0f},
                                              {1, 1.0f, 0.0f},
                                              {40, 1.0f, 0.0f},
                                              {0, 0.9f, 0.0f},
                                              {0, 1.0f, 0.1f},
                                              {300, 0.8f, 0.02f},
                                              {5000, 0.999f, 0.0f}}) {
      params.temperature = temperature;
      params.top_k = top_k;
      params.top_p = top_p;
      params.min_p = min_p;
      const ScopedSchedule schedule(static_cast<uint64_t>(top_k) + 1);
      ExpectSameDraws(params, logits);
    }
  }
}

TEST(CudaSample, TiesGoToTheLowestIdAndNothingInfiniteIsDrawn) {
  TestDevice device;
  std::vector<float> logits(3 * 600, 1.0f);
  logits[600 + 17] = INFINITY;
  for (int i = 1200; i < 1800; ++i) logits[static_cast<size_t>(i)] = -1e30f;
  logits[1200 + 555] = -3.0f;
  DeviceArray<float> device_logits(logits);
  DeviceArray<kernels::SampleRow> rows(
      std::vector<kernels::SampleRow>{{.top_k = 0}, {.temperature = 1.0f}, {.temperature = 1.0f, .top_k = 9}});
  DeviceArray<int32_t> tokens(std::vector<int32_t>(3, -7));
  const kernels::SampleArgs args{device_logits.data(), rows.data(), 600, 3, tokens.data()};
  device.ops.sample(&device.context, &args);
  EXPECT_EQ(tokens.Read(), (std::vector<int32_t>{0, -1, 555}));
}

}  // namespace
}  // namespace millrace::cuda
