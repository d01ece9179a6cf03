#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "sampling/filters.h"
#include "sampling/logits_processors.h"
#include "sampling/sampler.h"

namespace millrace {
namespace {

std::vector<float> LogitsOf(const std::vector<double>& probs) {
  std::vector<float> logits;
  for (const double p : probs) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::set<TokenId> Kept(const SamplingParams& params, const std::vector<double>& probs) {
  std::set<TokenId> tokens;
  for (const Candidate& c : FilterCandidates(params, {}, LogitsOf(probs))) tokens.insert(c.token);
  return tokens;
}

OutputResult SampleOnce(const SamplingParams& params, std::vector<float> logits, int position = 3,
                        std::vector<TokenId> history = {}, std::vector<TokenId> end_ids = {}) {
  Sampler sampler(static_cast<int>(logits.size()), end_ids);
  const int prompt = static_cast<int>(history.size());
  sampler.Start({.sequence = 1,
                 .sampling = std::make_shared<SamplingParams>(params),
                 .token_ids = history,
                 .num_prompt_tokens = prompt});
  return sampler.Sample(1, position, logits);
}

const std::vector<double> kProbs = {0.05, 0.5, 0.25, 0.15, 0.05};

TEST(Filters, EachKeepsItsDefinition) {
  EXPECT_EQ(Kept({.top_k = 2}, kProbs), (std::set<TokenId>{1, 2}));
  EXPECT_EQ(Kept({.top_k = 4}, kProbs), (std::set<TokenId>{0, 1, 2, 3}));  // the tie goes to the lower id
  EXPECT_EQ(Kept({.top_p = 0.7f}, kProbs), (std::set<TokenId>{1, 2}));
  EXPECT_EQ(Kept({.top_p = 0.76f}, kProbs), (std::set<TokenId>{1, 2, 3}));
  EXPECT_EQ(Kept({.min_p = 0.4f}, kProbs), (std::set<TokenId>{1, 2}));
  // Entropy 1.26 nats: surprise 1.39 (p = 0.25) is closest, then 0.69 (0.5) and 1.90 (0.15).
  EXPECT_EQ(Kept({.typical_p = 0.2f}, kProbs), (std::set<TokenId>{2}));
  EXPECT_EQ(Kept({.typical_p = 0.3f}, kProbs), (std::set<TokenId>{1, 2}));
  EXPECT_EQ(Kept({.xtc_probability = 1.0f, .xtc_threshold = 0.2f}, kProbs), (std::set<TokenId>{0, 2, 3, 4}));
}

TEST(Filters, TemperatureComesFirst) {
  // At temperature 0.5 the probabilities are squared and renormalised: 0.73, 0.18, 0.07 and twice 0.007.
  EXPECT_EQ(Kept({.temperature = 0.5f, .top_p = 0.7f}, kProbs), (std::set<TokenId>{1}));
}

TEST(Sampler, DrawsFollowTheDistribution) {
  for (const bool filtered : {false, true}) {
    SamplingParams params;
    params.seed = 42;
    params.top_k = filtered ? 5 : 0;
    std::map<TokenId, int> counts;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) ++counts[SampleOnce(params, LogitsOf(kProbs), i).token];
    double chi_squared = 0.0;
    for (size_t t = 0; t < kProbs.size(); ++t) {
      const double expected = kProbs[t] * kDraws;
      chi_squared += std::pow(counts[static_cast<TokenId>(t)] - expected, 2) / expected;
    }
    EXPECT_LT(chi_squared, 18.5) << "4 degrees of freedom, p = 0.001";
  }
}

TEST(Sampler, GreedyTakesTheLowestOfTheLargestAndRefusesWhatIsNotFinite) {
  const SamplingParams greedy{.temperature = 0.0f};
  for (const size_t size : {1u, 15u, 16u, 1023u, 1024u, 1025u, 5000u}) {
    for (const size_t first : {size_t{0}, size / 2, size - 1}) {
      std::vector<float> logits(size);
      for (size_t i = 0; i < size; ++i) logits[i] = static_cast<float>((i * 7919) % 101) * -0.25f - 1.0f;
      logits[first] = logits[first + (size - 1 - first) / 2] = logits[size - 1] = 3.0f;
      EXPECT_EQ(SampleOnce(greedy, logits).token, static_cast<TokenId>(first)) << size;
      logits[first] = first % 2 == 0 ? INFINITY : NAN;
      EXPECT_TRUE(SampleOnce(greedy, logits).failed) << size;
    }
  }
}

TEST(Sampler, ADrawDependsOnSeedChoiceAndPositionOnly) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 37) * 0.1f;
  SamplingParams params;
  params.seed = 7;
  const TokenId token = SampleOnce(params, logits, 5).token;
  EXPECT_EQ(SampleOnce(params, logits, 5).token, token);
  params.top_p = 0.9999f;  // the filtered path uses the same noise
  EXPECT_EQ(SampleOnce(params, logits, 5).token, token);
  std::set<TokenId> others;
  for (int position = 0; position < 20; ++position) others.insert(SampleOnce(params, logits, position).token);
  EXPECT_GT(others.size(), 10u);
}

TEST(Sampler, GreedyTakesTheLowestOfEqualMaxima) {
  EXPECT_EQ(SampleOnce({.temperature = 0.0f}, {1.0f, 3.0f, 3.0f}).token, 1);
}

TEST(Sampler, LogprobsAreOfTheModelsOwnDistribution) {
  SamplingParams params{.temperature = 0.0f, .logprobs = 2};
  params.logit_bias = {{4, 50.0f}};
  const OutputResult result = SampleOnce(params, LogitsOf(kProbs));
  EXPECT_EQ(result.token, 4);
  EXPECT_NEAR(result.logprob, std::log(0.05), 1e-5);
  EXPECT_EQ(result.rank, 5);  // token 0 is as likely and comes first
  ASSERT_EQ(result.top.size(), 2u);
  EXPECT_EQ(result.top[0].token, 1);
  EXPECT_NEAR(result.top[1].logprob, std::log(0.25), 1e-5);
}

TEST(Sampler, PenaltiesFollowTheirFormulas) {
  TokenHistory history({0, 1, 1}, 1);
  history.Push(2);
  std::vector<float> logits = {2.0f, -2.0f, 4.0f, 1.0f};
  ApplyPenalties({.repetition_penalty = 2.0f, .frequency_penalty = 0.5f, .presence_penalty = 0.25f}, history, logits);
  EXPECT_EQ(logits, (std::vector<float>{1.0f, -4.0f - 1.25f, 2.0f - 0.75f, 1.0f}));
}

TEST(Sampler, DryPunishesTheLongestContinuation) {
  // ... 1 2 3 | 4 ... 1 2 3: 4 would extend a repetition of 3 tokens.
  TokenHistory history({9, 1, 2, 3, 4, 8, 1, 2, 3}, 0);
  std::vector<float> logits(10, 0.0f);
  ApplyDry({.dry_multiplier = 1.0f, .dry_base = 2.0f, .dry_allowed_length = 2}, history, logits);
  EXPECT_FLOAT_EQ(logits[4], -2.0f);
  EXPECT_FLOAT_EQ(std::accumulate(logits.begin(), logits.end(), 0.0f), -2.0f);
  std::fill(logits.begin(), logits.end(), 0.0f);
  ApplyDry({.dry_multiplier = 1.0f, .dry_base = 2.0f, .dry_allowed_length = 2, .dry_sequence_breakers = {2}}, history,
           logits);
  EXPECT_FLOAT_EQ(logits[4], 0.0f);  // the breaker leaves a repetition of one token
}

TEST(Sampler, ConstraintsMask) {
  EXPECT_EQ(SampleOnce({.min_tokens = 1, .temperature = 0.0f}, {1.0f, 5.0f, 2.0f}, 3, {}, {1}).token, 2);
  EXPECT_EQ(SampleOnce({.temperature = 0.0f, .allowed_token_ids = {0}}, {1.0f, 5.0f, 2.0f}).token, 0);
  EXPECT_EQ(SampleOnce({.temperature = 0.0f, .bad_words = {{7, 1}}}, {1, 5, 2, 0, 0, 0, 0, 0}, 3, {7}).token, 2);
  EXPECT_EQ(SampleOnce({.temperature = 0.0f, .bad_words = {{6, 1}}}, {1, 5, 2, 0, 0, 0, 0, 0}, 3, {7}).token, 1);
  std::vector<float> logits(40, 0.0f);
  ApplyBitmask(std::vector<uint32_t>{0xffffffffu, 0x2u}, logits);
  EXPECT_EQ(logits[31], 0.0f);
  EXPECT_EQ(logits[32], kMaskedLogit);
  EXPECT_EQ(logits[33], 0.0f);
}

TEST(Sampler, NothingToDrawFailsTheSequenceOnly) {
  EXPECT_TRUE(SampleOnce({}, {NAN, 1.0f}).failed);
  SamplingParams banned{.temperature = 0.0f, .bad_words = {{0}, {1}}};
  EXPECT_EQ(SampleOnce(banned, {1.0f, 2.0f}).error, "the constraints leave no token to draw");
  banned.temperature = 1.0f;
  EXPECT_TRUE(SampleOnce(banned, {1.0f, 2.0f}).failed);
}

TEST(Sampler, MirostatGoesOnAfterAnInterruption) {
  std::vector<double> probs;
  for (int i = 1; i <= 500; ++i) probs.push_back(1.0 / i);
  for (const int mode : {1, 2}) {
    const auto params =
        std::make_shared<SamplingParams>(SamplingParams{.mirostat_mode = mode, .mirostat_tau = 3.0f, .seed = 1});
    const auto run = [&](bool interrupted) {
      Sampler sampler(500, {});
      sampler.Start({.sequence = 1, .sampling = params});
      std::vector<TokenId> tokens;
      for (int i = 0; i < 60; ++i) {
        std::vector<float> logits = LogitsOf(probs);
        const OutputResult output = sampler.Sample(1, i, logits);
        tokens.push_back(output.token);
        if (!interrupted || i % 20 != 19) continue;
        sampler.Finish(1);
        sampler.Start({.sequence = 1, .sampling = params, .token_ids = tokens, .sampler_state = output.sampler_state});
      }
      return tokens;
    };
    EXPECT_EQ(run(true), run(false)) << "mode " << mode;
  }
}

TEST(Sampler, MirostatSteersSurprise) {
  std::vector<double> probs;
  for (int i = 1; i <= 2000; ++i) probs.push_back(1.0 / i);
  for (const int mode : {1, 2}) {
    SamplingParams params{.mirostat_mode = mode, .mirostat_tau = 3.0f, .seed = 1};
    Sampler sampler(2000, {});
    sampler.Start({.sequence = 1, .sampling = std::make_shared<SamplingParams>(params)});
    const double total = std::accumulate(probs.begin(), probs.end(), 0.0);
    double surprise = 0.0;
    for (int i = 0; i < 400; ++i) {
      std::vector<float> logits = LogitsOf(probs);
      const TokenId token = sampler.Sample(1, i, logits).token;
      if (i >= 100) surprise -= std::log2(probs[static_cast<size_t>(token)] / total) / 300.0;
    }
    EXPECT_NEAR(surprise, 3.0, 1.6) << "mode " << mode;
  }
}

}  // namespace
}  // namespace millrace
