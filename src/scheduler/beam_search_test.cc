#include "scheduler/beam_search.h"

#include <gtest/gtest.h>

#include <cmath>

#include "scheduler/fake_runner.h"

namespace millrace {
namespace {

constexpr int kVocab = 3;
constexpr TokenId kEnd = 0;

// Every sequence over the vocabulary up to the length, with its score.
void Enumerate(uint64_t hash, double sum, std::vector<TokenId>& tokens, int max_generated, double penalty,
               std::vector<std::pair<double, std::vector<TokenId>>>& all) {
  for (const TokenLogprob& next : FakeTop(hash, kVocab, kVocab)) {
    tokens.push_back(next.token);
    const double total = sum + next.logprob;
    if (next.token == kEnd || static_cast<int>(tokens.size()) == max_generated) {
      all.emplace_back(total / std::pow(tokens.size(), penalty), tokens);
    } else {
      Enumerate(FakeHash(hash, next.token), total, tokens, max_generated, penalty, all);
    }
    tokens.pop_back();
  }
}

// As wide as the number of sequences, beam search is exhaustive search.
TEST(BeamSearch, AWideSearchFindsTheBestOfAllSequences) {
  for (const float penalty : {0.0f, 1.0f, 2.0f}) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      std::vector<std::pair<double, std::vector<TokenId>>> all;
      std::vector<TokenId> tokens;
      Enumerate(seed, 0, tokens, 4, penalty, all);
      std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first > b.first; });

      SamplingParams sampling;
      sampling.n = 100;
      sampling.use_beam_search = true;
      sampling.length_penalty = penalty;
      BeamSearch search(sampling, 4);
      std::vector<uint64_t> beams = {seed};
      for (;;) {
        std::vector<std::vector<TokenLogprob>> tops;
        for (uint64_t hash : beams) tops.push_back(FakeTop(hash, kVocab, 200));
        const std::vector<BeamStep> steps = search.Advance(tops, [](TokenId token, int) { return token == kEnd; });
        if (steps.empty()) break;
        std::vector<uint64_t> next;
        for (const BeamStep& step : steps) next.push_back(FakeHash(beams[step.parent], step.token.token));
        beams = std::move(next);
      }
      ASSERT_EQ(search.hypotheses().size(), all.size());
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_NEAR(search.hypotheses()[i].score, all[i].first, 1e-6) << "seed " << seed;
      }
      std::vector<TokenId> best;
      for (const TokenLogprob& token : search.hypotheses()[0].tokens) best.push_back(token.token);
      ASSERT_EQ(best, all[0].second) << "seed " << seed;
    }
  }
}

TEST(BeamSearch, AWidthOfOneIsGreedyAndStopsAtItsFirstEnd) {
  SamplingParams sampling;
  sampling.use_beam_search = true;
  BeamSearch search(sampling, 10);
  const auto is_end = [](TokenId token, int) { return token == kEnd; };
  std::vector<BeamStep> steps = search.Advance({{{2, -0.1f, 1}, {0, -3.0f, 2}}}, is_end);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].token.token, 2);  // the end was second of a width of one
  EXPECT_TRUE(search.hypotheses().empty());
  steps = search.Advance({{{0, -0.2f, 1}, {1, -2.0f, 2}}}, is_end);
  EXPECT_TRUE(steps.empty());
  ASSERT_EQ(search.hypotheses().size(), 1u);
  EXPECT_NEAR(search.hypotheses()[0].score, -0.15, 1e-6);
}

}  // namespace
}  // namespace millrace
