// Logits processors: changes to one row of logits before a token is drawn. Each touches only the tokens it concerns.
#pragma once

#include <cstdint>
#include <span>

#include "core/sampling_params.h"
#include "sampling/history.h"

namespace millrace {

// Value of a token that must not be drawn.
inline constexpr float kMaskedLogit = -1e30f;

// Repetition (Keskar et al. 2019: over prompt and output), frequency and presence penalties (OpenAI: over the output).
// With repetition_last_n >= 0 only the last so many tokens count.
void ApplyPenalties(const SamplingParams& params, const TokenHistory& history, std::span<float> logits);

// DRY (p-e-w 2024): a token that would extend a repetition of length n >= dry_allowed_length loses
// dry_multiplier * dry_base^(n - dry_allowed_length). Linear in the look-back.
void ApplyDry(const SamplingParams& params, const TokenHistory& history, std::span<float> logits);

// logit_bias, allowed_token_ids, bad_words, and the end tokens while fewer than min_tokens were generated.
void ApplyConstraints(const SamplingParams& params, const TokenHistory& history, std::span<const TokenId> end_ids,
                      std::span<float> logits);

// Masks every token whose bit is 0; words of 32 tokens, token t is bit t % 32 of word t / 32.
void ApplyBitmask(std::span<const uint32_t> mask, std::span<float> logits);

}  // namespace millrace
