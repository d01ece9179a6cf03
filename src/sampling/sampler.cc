#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "sampling/filters.h"
#include "sampling/logits_processors.h"
#include "sampling/noise.h"

namespace millrace {
namespace {

// Lanes of fixed number, which compilers turn into vector instructions at -O2.
constexpr size_t kLanes = 16;
constexpr size_t kRunTokens = 64 * kLanes;

// The lowest token with the largest logit: the maximum of each run first, then a look into the run that has it. Scalar
// code took 100 us for 128,256 tokens, this takes a third.
TokenId ArgMax(std::span<const float> logits) {
  size_t best_begin = 0;
  float best = -std::numeric_limits<float>::infinity();
  size_t begin = 0;
  for (; begin + kRunTokens <= logits.size(); begin += kRunTokens) {
    float lane[kLanes];
    std::copy_n(&logits[begin], kLanes, lane);
    for (size_t t = begin + kLanes; t < begin + kRunTokens; t += kLanes) {
      for (size_t i = 0; i < kLanes; ++i) lane[i] = logits[t + i] > lane[i] ? logits[t + i] : lane[i];
    }
    const float largest = *std::max_element(lane, lane + kLanes);
    if (largest > best) best = largest, best_begin = begin;
  }
  for (; begin < logits.size(); ++begin) {
    if (logits[begin] > best) best = logits[begin], best_begin = begin;
  }
  size_t token = best_begin;
  while (token + 1 < logits.size() && logits[token] != best) ++token;
  return static_cast<TokenId>(logits[token] == best ? token : 0);
}

bool AllFinite(std::span<const float> logits) {
  float lane[kLanes] = {};  // 0, or NaN from the first infinity or NaN on
  size_t begin = 0;
  for (; begin + kLanes <= logits.size(); begin += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) lane[i] += logits[begin + i] * 0.0f;
  }
  for (; begin < logits.size(); ++begin) lane[0] += logits[begin] * 0.0f;
  return std::all_of(lane, lane + kLanes, [](float v) { return v == 0.0f; });
}

// argmax of logit / temperature + Gumbel. Only tokens that the noise could still lift above the best so far are looked
// at.
TokenId DrawGumbel(const NoiseKey& key, float temperature, std::span<const float> logits) {
  TokenId best = ArgMax(logits);
  float best_score = logits[static_cast<size_t>(best)] / temperature + GumbelNoise(key, best);
  for (size_t t = 0; t < logits.size(); ++t) {
    const float scaled = logits[t] / temperature;
    if (scaled + kMaxGumbel < best_score) continue;
    const float score = scaled + GumbelNoise(key, static_cast<TokenId>(t));
    if (score > best_score || (score == best_score && static_cast<TokenId>(t) < best)) {
      best = static_cast<TokenId>(t);
      best_score = score;
    }
  }
  return best;
}

TokenId DrawFrom(const NoiseKey& key, const std::vector<Candidate>& candidates) {
  TokenId best = -1;
  float best_score = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates) {
    const float score = c.logit + GumbelNoise(key, c.token);
    if (score > best_score || (score == best_score && c.token < best)) {
      best = c.token;
      best_score = score;
    }
  }
  return best;
}

// Sum of e^(logit - best) in fixed runs of 1,024, so that the bits never depend on anything but the row.
double SumExp(std::span<const float> logits, float best) {
  double total = 0.0;
  for (size_t begin = 0; begin < logits.size(); begin += 1024) {
    double part = 0.0;
    const size_t end = std::min(logits.size(), begin + 1024);
    for (size_t t = begin; t < end; ++t) part += std::exp(logits[t] - best);
    total += part;
  }
  return total;
}

bool NeedsFilters(const SamplingParams& p) {
  return p.top_k > 0 || p.typical_p < 1.0f || p.top_p < 1.0f || p.min_p > 0.0f || p.xtc_probability > 0.0f;
}

constexpr const char* kNotFinite = "the model produced a logit that is not finite";

}  // namespace

void Sampler::Start(const SequenceStart& start) {
  State state;
  state.params = start.sampling;
  state.choice_index = start.choice_index;
  state.history = TokenHistory(start.token_ids, start.num_prompt_tokens);
  state.mirostat_mu = start.sampler_state.value_or(2.0f * start.sampling->mirostat_tau);
  states_[start.sequence] = std::move(state);
}

void Sampler::Finish(SequenceId sequence) {
  states_.erase(sequence);
}

OutputResult Sampler::Score(std::span<const float> logits, TokenId target, int top) const {
  OutputResult result;
  const float best = logits[static_cast<size_t>(ArgMax(logits))];
  const float log_total = best + static_cast<float>(std::log(SumExp(logits, best)));
  const float target_logit = logits[static_cast<size_t>(target)];
  result.token = target;
  result.logprob = target_logit - log_total;
  if (!std::isfinite(result.logprob)) {
    result.failed = true;
    result.error = "the model produced a logit that is not finite";
    return result;
  }
  result.rank = 1;
  for (size_t t = 0; t < logits.size(); ++t) {
    result.rank += logits[t] > target_logit || (logits[t] == target_logit && static_cast<TokenId>(t) < target);
  }
  if (top <= 0) return result;
  const auto better = [&](TokenId a, TokenId b) {
    const float la = logits[static_cast<size_t>(a)], lb = logits[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  };
  std::vector<TokenId> heap;  // worst of the best on top
  for (TokenId t = 0; t < static_cast<TokenId>(logits.size()); ++t) {
    if (static_cast<int>(heap.size()) < top) {
      heap.push_back(t);
      std::push_heap(heap.begin(), heap.end(), better);
    } else if (better(t, heap.front())) {
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.back() = t;
      std::push_heap(heap.begin(), heap.end(), better);
    }
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  for (size_t i = 0; i < heap.size(); ++i) {
    result.top.push_back({heap[i], logits[static_cast<size_t>(heap[i])] - log_total, static_cast<int>(i) + 1});
  }
  return result;
}

// Basu et al. 2021. Mode 2 cuts tokens whose surprise exceeds mu; mode 1 first estimates the Zipf exponent and turns mu
// into a top-k.
TokenId Sampler::DrawMirostat(State& state, int position, std::span<const float> logits) const {
  const SamplingParams& p = *state.params;
  const NoiseKey key{p.seed, state.choice_index, position};
  SamplingParams plain;
  plain.temperature = p.temperature;
  std::vector<Candidate> candidates = FilterCandidates(plain, key, logits);
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
  size_t keep = candidates.size();
  if (p.mirostat_mode == 1) {
    constexpr size_t kZipfTokens = 100;
    double sum_ti_bi = 0.0, sum_ti_sq = 0.0;
    for (size_t i = 0; i + 1 < std::min(kZipfTokens, candidates.size()); ++i) {
      const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
      const double b = std::log(static_cast<double>(candidates[i].prob) / static_cast<double>(candidates[i + 1].prob));
      sum_ti_bi += t * b;
      sum_ti_sq += t * t;
    }
    const double s = sum_ti_sq > 0.0 ? sum_ti_bi / sum_ti_sq : 1.0;
    const double epsilon = s - 1.0;
    const double k =
        std::pow(epsilon * std::pow(2.0, state.mirostat_mu) / (1.0 - std::pow(vocab_size_, -epsilon)), 1.0 / s);
    if (std::isfinite(k)) keep = static_cast<size_t>(std::clamp(k, 1.0, static_cast<double>(candidates.size())));
  } else {
    keep = 1;
    while (keep < candidates.size() && -std::log2(candidates[keep].prob) <= state.mirostat_mu) ++keep;
  }
  candidates.resize(keep);
  double total = 0.0;
  for (const Candidate& c : candidates) total += c.prob;
  const TokenId token = DrawFrom(key, candidates);
  for (const Candidate& c : candidates) {
    if (c.token == token) {
      const float surprise = static_cast<float>(-std::log2(c.prob / total));
      state.mirostat_mu -= p.mirostat_eta * (surprise - p.mirostat_tau);
    }
  }
  return token;
}

TokenId Sampler::Draw(State& state, int position, std::span<const float> logits) const {
  const SamplingParams& p = *state.params;
  if (p.temperature == 0.0f) return ArgMax(logits);
  if (p.mirostat_mode != 0) return DrawMirostat(state, position, logits);
  const NoiseKey key{p.seed, state.choice_index, position};
  if (!NeedsFilters(p)) return DrawGumbel(key, p.temperature, logits);
  return DrawFrom(key, FilterCandidates(p, key, logits));
}

std::optional<DeviceDraw> Sampler::PlanDeviceDraw(SequenceId sequence) const {
  const State& state = states_.at(sequence);
  const SamplingParams& p = *state.params;
  const bool penalised = p.repetition_penalty != 1.0f || p.frequency_penalty != 0.0f || p.presence_penalty != 0.0f ||
                         p.dry_multiplier > 0.0f;
  const bool constrained = !p.logit_bias.empty() || !p.allowed_token_ids.empty() || !p.bad_words.empty() ||
                           state.history.num_generated() < p.min_tokens;
  const bool special =
      p.use_beam_search || p.logprobs >= 0 || p.typical_p < 1.0f || p.xtc_probability > 0.0f || p.mirostat_mode != 0;
  if (penalised || constrained || special) return std::nullopt;
  return DeviceDraw{&p, state.choice_index};
}

OutputResult Sampler::AcceptDeviceDraw(SequenceId sequence, TokenId token) {
  OutputResult result;
  result.token = token;
  if (token < 0) {
    result.failed = true;
    result.error = kNotFinite;
    return result;
  }
  states_.at(sequence).history.Push(token);
  return result;
}

OutputResult Sampler::Sample(SequenceId sequence, int position, std::span<float> logits,
                             std::span<const uint32_t> mask) {
  const auto found = states_.find(sequence);
  CHECK(found != states_.end(), "sequence {} was never started", sequence);
  State& state = found->second;
  OutputResult result;
  if (!AllFinite(logits)) {
    result.failed = true;
    result.error = kNotFinite;
    return result;
  }
  const SamplingParams& p = *state.params;
  if (p.use_beam_search) {  // the scheduler picks; it wants twice the width to choose from
    result = Score(logits, ArgMax(logits), 2 * std::max(p.n, p.best_of));
    return result;
  }
  const bool want_logprobs = p.logprobs >= 0;
  std::vector<float> raw;  // logprobs are of the model's own distribution, before penalties
  if (want_logprobs) raw.assign(logits.begin(), logits.end());

  ApplyPenalties(p, state.history, logits);
  ApplyDry(p, state.history, logits);
  ApplyConstraints(p, state.history, end_ids_, logits);
  if (!mask.empty()) ApplyBitmask(mask, logits);
  const TokenId token = Draw(state, position, logits);
  if (token < 0 || logits[static_cast<size_t>(token)] <= kMaskedLogit * 0.5f) {
    result.failed = true;
    result.error = "the constraints leave no token to draw";
    result.error_code = StatusCode::kInvalidArgument;
    return result;
  }
  if (want_logprobs) result = Score(raw, token, p.logprobs);
  result.token = token;
  result.sampler_state = state.mirostat_mu;
  state.history.Push(token);
  return result;
}

}  // namespace millrace
