#include "grammar/budget.h"

#include <gtest/gtest.h>

#include <string>

#include "grammar/grammar_test_util.h"

namespace millrace::grammar {
namespace {

// Optional properties that exclude each other in pairs: alternatives double with each of them.
std::string ManyAlternatives(int n) {
  std::string all;
  for (int i = 0; i < n; ++i) {
    all += std::string(all.empty() ? "" : ",") + "{\"oneOf\":[{\"required\":[\"a" + std::to_string(i) +
           "\"]},{\"required\":[\"b" + std::to_string(i) + "\"]}]}";
  }
  return "{\"type\":\"object\",\"allOf\":[" + all + "]}";
}

TEST(BudgetTest, StepsDecideAndNotTheClock) {
  const std::string schema = ManyAlternatives(7);
  uint64_t low = 1, high = 400'000'000;
  auto accepted = [&](uint64_t steps, double seconds) {
    CompileOptions options;
    options.limits = {.max_steps = steps, .max_seconds = seconds};
    return CompileJsonSchema(schema, SmallVocabulary(), options).ok();
  };
  ASSERT_TRUE(accepted(high, 60));
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (accepted(middle, 60) ? high : low) = middle;
  }
  // The exact count separates acceptance from refusal, again and again, however long it takes.
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(accepted(high, 1e6));
    EXPECT_FALSE(accepted(low, 1e6));
  }
  EXPECT_GT(low, 10'000u);
}

TEST(BudgetTest, OnceExceededItStaysSo) {
  Budget steps({.max_steps = 10});
  steps.Spend(10);
  EXPECT_TRUE(steps.Charge(0) == false && steps.exceeded());
  Budget bytes({.max_bytes = 100});
  EXPECT_TRUE(bytes.Charge(100));
  EXPECT_FALSE(bytes.Charge(1));
  EXPECT_FALSE(bytes.Charge(0));
  EXPECT_EQ(bytes.Error().code(), StatusCode::kUnsupported);
}

TEST(BudgetTest, TheClockStopsWhatStandsStill) {
  Budget budget({.max_steps = UINT64_MAX, .max_seconds = 0});
  budget.Spend(1'000'000);
  EXPECT_TRUE(budget.exceeded());
}

}  // namespace
}  // namespace millrace::grammar
