// SamplingParams: how the next token is chosen. Names and defaults follow the OpenAI API and vLLM's extensions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "core/ids.h"

namespace millrace {

// What a request wants instead of tokens: one vector made of its prompt's hidden states.
enum class Pooling : uint8_t { kNone, kMean, kLast };

struct SamplingParams {
  int max_tokens = 0;  // generated tokens at most; 0: up to the model's length
  int min_tokens = 0;  // end tokens are masked before this many
  int n = 1;           // sequences returned, 1..128
  int best_of = 0;     // sequences run; 0: n
  bool use_beam_search = false;
  float length_penalty = 1.0f;  // beam search: score / length^penalty
  bool early_stopping = false;

  float temperature = 1.0f;  // 0: greedy
  int top_k = 0;             // 0: off
  float top_p = 1.0f;        // (0, 1]
  float min_p = 0.0f;        // [0, 1]
  float typical_p = 1.0f;    // (0, 1]
  float repetition_penalty = 1.0f;
  float frequency_penalty = 0.0f;  // [-2, 2]
  float presence_penalty = 0.0f;   // [-2, 2]
  int repetition_last_n = -1;      // tokens that the three penalties look back on; -1: all

  float dry_multiplier = 0.0f;  // 0: off
  float dry_base = 1.75f;
  int dry_allowed_length = 2;
  int dry_penalty_last_n = -1;
  std::vector<TokenId> dry_sequence_breakers;

  float xtc_probability = 0.0f;
  float xtc_threshold = 0.1f;

  int mirostat_mode = 0;  // 0: off, 1, 2
  float mirostat_tau = 5.0f;
  float mirostat_eta = 0.1f;

  uint64_t seed = 0;  // the engine fills in a random one when the client gives none
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::vector<TokenId> allowed_token_ids;       // empty: all
  std::vector<std::vector<TokenId>> bad_words;  // token sequences never completed

  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  bool ignore_eos = false;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens =
      true;  // false: control tokens are part of the text, for parsers of markers; the end token never is

  int logprobs = -1;         // -1: none; 0: the sampled token's; k: and the k best
  int prompt_logprobs = -1;  // likewise for every prompt token
};

// Checks every bound (DESIGN 7). The message names the field, its value and the limit.
Status ValidateSamplingParams(const SamplingParams& params, int vocab_size);

}  // namespace millrace
