// Filters: which tokens may be drawn. They work on a candidate list that is pruned first, and never sort a whole
// vocabulary.
#pragma once

#include <span>
#include <vector>

#include "core/sampling_params.h"
#include "sampling/noise.h"

namespace millrace {

struct Candidate {
  TokenId token;
  float logit;  // after temperature
  float prob;   // normalised over the candidates' own total unless a filter says otherwise
};

// Applies temperature, then top-k, typical-p, top-p, min-p and XTC in this order (the order of transformers and vLLM,
// XTC last), each renormalising. The result is never empty when a finite logit exists; its order is unspecified. Tokens
// whose probability is below e^-30 of the best one's are dropped from the start.
std::vector<Candidate> FilterCandidates(const SamplingParams& params, const NoiseKey& key,
                                        std::span<const float> logits);

}  // namespace millrace
