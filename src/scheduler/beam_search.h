// BeamSearch: which continuations of a request's beams live on, from the log probabilities that a step reports. Plain
// arithmetic: the scheduler forks and drops the sequences.
//
// Each step takes, of all continuations of all beams, the 2 x width most likely. Those that end (an end token) become
// hypotheses when they are among the first width; the first width others live on. A hypothesis scores its summed log
// probability / generated tokens^length_penalty, the end token included. The search is over when width hypotheses are
// there and no live beam can beat the worst (or at once with early_stopping), and at the longest length, where the live
// beams become hypotheses as they are. (As transformers does.)
#pragma once

#include <functional>
#include <vector>

#include "core/batch.h"
#include "core/request.h"
#include "core/sampling_params.h"

namespace millrace {

// A live beam after a step: the continuation of beam `parent` of the step before.
struct BeamStep {
  int parent = 0;
  TokenLogprob token;
};

struct BeamHypothesis {
  double score = 0;
  std::vector<TokenLogprob> tokens;  // generated
  FinishReason reason = FinishReason::kStop;
};

class BeamSearch {
 public:
  // max_generated: tokens at most.
  BeamSearch(const SamplingParams& sampling, int max_generated);

  int width() const { return width_; }

  // tops[b]: the most likely next tokens of live beam b, best first, 2 x width of them or the whole vocabulary.
  // is_end(token, generated) tells whether a token, the generated-th, ends a sequence. Returns the new live beams, best
  // first; none when the search is over.
  std::vector<BeamStep> Advance(const std::vector<std::vector<TokenLogprob>>& tops,
                                const std::function<bool(TokenId, int)>& is_end);

  // Best first; at most width.
  const std::vector<BeamHypothesis>& hypotheses() const { return hypotheses_; }

 private:
  struct Beam {
    double sum = 0;
    std::vector<TokenLogprob> tokens;
  };
  double Score(double sum, int generated) const;
  void AddHypothesis(const Beam& beam, FinishReason reason);

  const int width_;
  const int max_generated_;
  const double length_penalty_;
  const bool early_stopping_;
  std::vector<Beam> live_ = {Beam()};
  std::vector<BeamHypothesis> hypotheses_;
};

}  // namespace millrace
