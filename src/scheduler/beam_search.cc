#include "scheduler/beam_search.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace millrace {

BeamSearch::BeamSearch(const SamplingParams& sampling, int max_generated)
    : width_(std::max(sampling.n, sampling.best_of)),
      max_generated_(max_generated),
      length_penalty_(sampling.length_penalty),
      early_stopping_(sampling.early_stopping) {}

double BeamSearch::Score(double sum, int generated) const {
  return sum / std::pow(generated, length_penalty_);
}

void BeamSearch::AddHypothesis(const Beam& beam, FinishReason reason) {
  BeamHypothesis hypothesis;
  hypothesis.score = Score(beam.sum, static_cast<int>(beam.tokens.size()));
  hypothesis.tokens = beam.tokens;
  hypothesis.reason = reason;
  const auto place = std::find_if(hypotheses_.begin(), hypotheses_.end(),
                                  [&](const BeamHypothesis& h) { return h.score < hypothesis.score; });
  hypotheses_.insert(place, std::move(hypothesis));
  if (static_cast<int>(hypotheses_.size()) > width_) hypotheses_.pop_back();
}

std::vector<BeamStep> BeamSearch::Advance(const std::vector<std::vector<TokenLogprob>>& tops,
                                          const std::function<bool(TokenId, int)>& is_end) {
  CHECK_EQ(tops.size(), live_.size());
  struct Candidate {
    double sum;
    BeamStep step;
  };
  std::vector<Candidate> candidates;
  for (size_t b = 0; b < tops.size(); ++b) {
    for (const TokenLogprob& token : tops[b])
      candidates.push_back({live_[b].sum + token.logprob, {static_cast<int>(b), token}});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.sum > b.sum; });
  candidates.resize(std::min(candidates.size(), static_cast<size_t>(2 * width_)));
  const int generated = static_cast<int>(live_[0].tokens.size()) + 1;
  std::vector<BeamStep> steps;
  std::vector<Beam> next;
  for (size_t rank = 0; rank < candidates.size() && static_cast<int>(next.size()) < width_; ++rank) {
    const Candidate& candidate = candidates[rank];
    const bool ends = is_end(candidate.step.token.token, generated);
    if (ends && static_cast<int>(rank) >= width_) continue;
    Beam beam = live_[candidate.step.parent];
    beam.sum = candidate.sum;
    beam.tokens.push_back(candidate.step.token);
    if (ends) {
      AddHypothesis(beam, FinishReason::kStop);
    } else {
      next.push_back(std::move(beam));
      steps.push_back(candidate.step);
    }
  }
  live_ = std::move(next);
  if (generated >= max_generated_) {
    for (const Beam& beam : live_) AddHypothesis(beam, FinishReason::kLength);
    return {};
  }
  if (live_.empty()) return {};
  const bool enough = static_cast<int>(hypotheses_.size()) == width_;
  if (enough && (early_stopping_ || Score(live_[0].sum, generated) <= hypotheses_.back().score)) return {};
  return steps;
}

}  // namespace millrace
