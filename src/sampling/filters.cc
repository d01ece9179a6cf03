#include "sampling/filters.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "sampling/logits_processors.h"

namespace millrace {
namespace {

constexpr float kPruneLogit = 30.0f;

// Better first; ties go to the lower id, so that every order is total.
bool Better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

void Normalise(std::vector<Candidate>* candidates) {
  float best = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : *candidates) best = std::max(best, c.logit);
  double total = 0.0;
  for (Candidate& c : *candidates) {
    c.prob = std::exp(c.logit - best);
    total += c.prob;
  }
  for (Candidate& c : *candidates) c.prob = static_cast<float>(c.prob / total);
}

void TopK(size_t k, std::vector<Candidate>* candidates) {
  if (k >= candidates->size()) return;
  std::nth_element(candidates->begin(), candidates->begin() + static_cast<std::ptrdiff_t>(k), candidates->end(),
                   Better);
  candidates->resize(k);
}

// Keeps the smallest set, best first by `order`, whose probability reaches `mass`; pops a heap so that only the kept
// part is sorted.
template <typename Order>
void KeepMass(float mass, const Order& order, std::vector<Candidate>* candidates) {
  const auto worse = [&](const Candidate& a, const Candidate& b) { return order(b, a); };
  std::make_heap(candidates->begin(), candidates->end(), worse);
  double sum = 0.0;
  auto end = candidates->end();
  while (end != candidates->begin() && sum < mass) {
    std::pop_heap(candidates->begin(), end, worse);
    --end;
    sum += end->prob;
  }
  candidates->erase(candidates->begin(), end);
}

// Meister et al. 2022: tokens whose surprise is closest to the entropy.
void Typical(float mass, std::vector<Candidate>* candidates) {
  double entropy = 0.0;
  for (const Candidate& c : *candidates) {
    if (c.prob > 0.0f) entropy -= static_cast<double>(c.prob) * std::log(static_cast<double>(c.prob));
  }
  const auto distance = [entropy](const Candidate& c) {
    return std::fabs(-std::log(static_cast<double>(c.prob)) - entropy);
  };
  KeepMass(
      mass,
      [&](const Candidate& a, const Candidate& b) {
        const double da = distance(a), db = distance(b);
        return da != db ? da < db : Better(a, b);
      },
      candidates);
}

// p-e-w 2024: with some probability remove every token above the threshold but the least likely of them.
void Xtc(const SamplingParams& p, const NoiseKey& key, std::vector<Candidate>* candidates) {
  if (UniformNoise(key, NoiseDomain::kXtc, 0) >= p.xtc_probability) return;
  const Candidate* last = nullptr;
  int count = 0;
  for (const Candidate& c : *candidates) {
    if (c.prob < p.xtc_threshold) continue;
    ++count;
    if (last == nullptr || Better(*last, c)) last = &c;
  }
  if (count < 2) return;
  const TokenId kept = last->token;
  std::erase_if(*candidates, [&](const Candidate& c) { return c.prob >= p.xtc_threshold && c.token != kept; });
}

}  // namespace

std::vector<Candidate> FilterCandidates(const SamplingParams& p, const NoiseKey& key, std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) best = std::max(best, logit);
  const float floor = std::max(best - kPruneLogit * p.temperature, kMaskedLogit * 0.5f);
  std::vector<Candidate> candidates;
  for (size_t t = 0; t < logits.size(); ++t) {
    if (logits[t] >= floor) candidates.push_back({static_cast<TokenId>(t), logits[t] / p.temperature, 0.0f});
  }
  if (p.top_k > 0) TopK(static_cast<size_t>(p.top_k), &candidates);
  Normalise(&candidates);
  if (p.typical_p < 1.0f) {
    Typical(p.typical_p, &candidates);
    Normalise(&candidates);
  }
  if (p.top_p < 1.0f) {
    KeepMass(p.top_p, Better, &candidates);
    Normalise(&candidates);
  }
  if (p.min_p > 0.0f) {
    float top = 0.0f;
    for (const Candidate& c : candidates) top = std::max(top, c.prob);
    std::erase_if(candidates, [&](const Candidate& c) { return c.prob < p.min_p * top; });
    Normalise(&candidates);
  }
  if (p.xtc_probability > 0.0f) Xtc(p, key, &candidates);
  return candidates;
}

}  // namespace millrace
