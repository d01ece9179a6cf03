// Sampler: draws tokens from logits and keeps what that needs per sequence (history, mirostat). One per runner, used by
// one thread. A token depends on the sequence's own tokens, parameters, seed and position alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/batch.h"
#include "sampling/history.h"

namespace millrace {

// A draw that needs nothing of the host but these: no penalties, constraints or log probabilities.
struct DeviceDraw {
  const SamplingParams* params = nullptr;  // seed, temperature, top_k, top_p and min_p are all that matters
  int choice_index = 0;
};

class Sampler {
 public:
  // end_ids: tokens that end a generation, masked while fewer than min_tokens were generated.
  Sampler(int vocab_size, std::vector<TokenId> end_ids) : vocab_size_(vocab_size), end_ids_(std::move(end_ids)) {}

  // A sequence that comes back after a preemption brings its tokens and the state that its last output carried, so that
  // it goes on as if it had never left.
  void Start(const SequenceStart& start);
  void Finish(SequenceId sequence);

  // Draws the token at `position` and appends it to the sequence's history. logits [vocab_size] are changed in place.
  // mask: grammar bitmask or empty. A row without finite logits, or with nothing left to draw, gives failed = true.
  OutputResult Sample(SequenceId sequence, int position, std::span<float> logits, std::span<const uint32_t> mask = {});

  // For devices that draw by themselves: what the next draw needs, or nullopt when it needs the logits here; then the
  // token it drew, which must be as Sample would have drawn it (-1: a logit was not finite).
  std::optional<DeviceDraw> PlanDeviceDraw(SequenceId sequence) const;
  OutputResult AcceptDeviceDraw(SequenceId sequence, TokenId token);

  // Logprob and rank of a given token (prompt logprobs), and the `top` best ones. Changes nothing.
  OutputResult Score(std::span<const float> logits, TokenId target, int top) const;

 private:
  struct State {
    std::shared_ptr<const SamplingParams> params;
    int choice_index = 0;
    TokenHistory history;
    float mirostat_mu = 0.0f;
  };
  TokenId Draw(State& state, int position, std::span<const float> logits) const;
  TokenId DrawMirostat(State& state, int position, std::span<const float> logits) const;

  const int vocab_size_;
  const std::vector<TokenId> end_ids_;
  std::unordered_map<SequenceId, State> states_;
};

}  // namespace millrace
