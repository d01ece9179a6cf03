// A token's logits have the same bits however its sequence is cut into steps and on however many threads: every weight
// type, and every architecture with quantised weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model_loader/synth.h"
#include "runtime/test_model.h"

namespace millrace {
namespace {

struct Case {
  std::string shape, type;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const std::string& type : SynthTypeNames()) cases.push_back({"tiny-llama", type});
  for (const std::string& shape : SynthShapeNames()) {
    if (shape.starts_with("tiny-") && shape != "tiny-llama") cases.push_back({shape, "Q4_K_M"});
  }
  return cases;
}

class Equivalence : public testing::TestWithParam<Case> {};

TEST_P(Equivalence, ChunksAndThreads) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < 37; ++i) tokens.push_back(3 + i * 31 % 200);
  std::vector<std::vector<float>> whole;
  for (const auto& [threads, chunk] : {std::pair{1, 64}, {2, 1}, {3, 7}, {2, 33}}) {
    Result<std::unique_ptr<Checkpoint>> checkpoint = MakeSynthCheckpoint(GetParam().shape, GetParam().type);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    Result<std::unique_ptr<TestModel>> test = TestModel::Open(std::move(*checkpoint), DType::kBF16, threads, 256);
    ASSERT_TRUE(test.ok()) << test.status().message();
    std::vector<std::vector<float>> logits;
    for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(chunk)) {
      const size_t end = std::min(tokens.size(), begin + static_cast<size_t>(chunk));
      for (auto& row :
           (*test)->Run({tokens.begin() + static_cast<long>(begin), tokens.begin() + static_cast<long>(end)},
                        static_cast<int>(begin))) {
        for (const float logit : row) ASSERT_TRUE(std::isfinite(logit));
        logits.push_back(std::move(row));
      }
    }
    if (whole.empty()) {
      whole = logits;
    } else {
      EXPECT_EQ(whole, logits) << threads << " threads, chunks of " << chunk;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Synthetic, Equivalence, testing::ValuesIn(AllCases()), [](const auto& info) {
  std::string name = info.param.shape + "_" + info.param.type;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace millrace
