#include "sampling/logits_processors.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace millrace {
namespace {

constexpr int kMaxDryLookback = 8192;  // bounds the cost per token
constexpr int kMaxDryExponent = 64;    // base^64 is past any logit

void Penalise(float repetition, float frequency, float presence, const std::unordered_map<TokenId, int>& all,
              const std::unordered_map<TokenId, int>& output, std::span<float> logits) {
  if (repetition != 1.0f) {
    for (const auto& [token, count] : all) {
      float& logit = logits[static_cast<size_t>(token)];
      logit = logit > 0.0f ? logit / repetition : logit * repetition;
    }
  }
  if (frequency == 0.0f && presence == 0.0f) return;
  for (const auto& [token, count] : output) {
    logits[static_cast<size_t>(token)] -= frequency * static_cast<float>(count) + presence;
  }
}

}  // namespace

TokenHistory::TokenHistory(std::vector<TokenId> tokens, int num_prompt_tokens)
    : tokens_(std::move(tokens)), num_prompt_tokens_(num_prompt_tokens) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    ++all_counts_[tokens_[i]];
    if (static_cast<int>(i) >= num_prompt_tokens) ++output_counts_[tokens_[i]];
  }
}

void TokenHistory::Push(TokenId token) {
  tokens_.push_back(token);
  ++all_counts_[token];
  ++output_counts_[token];
}

void ApplyPenalties(const SamplingParams& p, const TokenHistory& history, std::span<float> logits) {
  if (p.repetition_penalty == 1.0f && p.frequency_penalty == 0.0f && p.presence_penalty == 0.0f) return;
  const auto tokens = history.tokens();
  if (p.repetition_last_n < 0 || p.repetition_last_n >= static_cast<int>(tokens.size())) {
    Penalise(p.repetition_penalty, p.frequency_penalty, p.presence_penalty, history.all_counts(),
             history.output_counts(), logits);
    return;
  }
  std::unordered_map<TokenId, int> all, output;
  for (size_t i = tokens.size() - static_cast<size_t>(p.repetition_last_n); i < tokens.size(); ++i) {
    ++all[tokens[i]];
    if (static_cast<int>(i) >= history.num_prompt_tokens()) ++output[tokens[i]];
  }
  Penalise(p.repetition_penalty, p.frequency_penalty, p.presence_penalty, all, output, logits);
}

void ApplyDry(const SamplingParams& p, const TokenHistory& history, std::span<float> logits) {
  if (p.dry_multiplier == 0.0f) return;
  const auto tokens = history.tokens();
  const int limit = p.dry_penalty_last_n < 0 ? kMaxDryLookback : std::min(p.dry_penalty_last_n, kMaxDryLookback);
  const int n = std::min(static_cast<int>(tokens.size()), limit);
  const auto back = [&](int i) { return tokens[tokens.size() - 1 - static_cast<size_t>(i)]; };  // 0 is the last token
  int longest = n;  // a repetition never reaches over a sequence breaker
  for (int i = 0; i < n; ++i) {
    if (std::find(p.dry_sequence_breakers.begin(), p.dry_sequence_breakers.end(), back(i)) !=
        p.dry_sequence_breakers.end()) {
      longest = i;
      break;
    }
  }
  // Z algorithm over the reversed tokens: match[i] is how far the text ending at i repeats the text's end.
  std::vector<int> match(static_cast<size_t>(n), 0);
  std::unordered_map<TokenId, int> best;
  for (int i = 1, left = 0, right = 0; i < n; ++i) {
    int length = i < right ? std::min(right - i, match[static_cast<size_t>(i - left)]) : 0;
    while (i + length < n && back(length) == back(i + length)) ++length;
    match[static_cast<size_t>(i)] = length;
    if (i + length > right) {
      left = i;
      right = i + length;
    }
    const int repeated = std::min(length, longest);
    if (repeated >= p.dry_allowed_length) {
      int& longest_for_token = best[back(i - 1)];
      longest_for_token = std::max(longest_for_token, repeated);
    }
  }
  for (const auto& [token, length] : best) {
    const int exponent = std::min(length - p.dry_allowed_length, kMaxDryExponent);
    logits[static_cast<size_t>(token)] -= p.dry_multiplier * std::pow(p.dry_base, static_cast<float>(exponent));
  }
}

void ApplyConstraints(const SamplingParams& p, const TokenHistory& history, std::span<const TokenId> end_ids,
                      std::span<float> logits) {
  if (!p.allowed_token_ids.empty()) {
    std::vector<float> kept;
    for (TokenId token : p.allowed_token_ids) kept.push_back(logits[static_cast<size_t>(token)]);
    std::fill(logits.begin(), logits.end(), kMaskedLogit);
    for (size_t i = 0; i < kept.size(); ++i) logits[static_cast<size_t>(p.allowed_token_ids[i])] = kept[i];
  }
  for (const auto& [token, bias] : p.logit_bias) logits[static_cast<size_t>(token)] += bias;
  if (history.num_generated() < p.min_tokens) {
    for (TokenId token : end_ids) logits[static_cast<size_t>(token)] = kMaskedLogit;
    for (TokenId token : p.stop_token_ids) logits[static_cast<size_t>(token)] = kMaskedLogit;
  }
  const auto tokens = history.tokens();
  for (const std::vector<TokenId>& word : p.bad_words) {
    if (word.empty() || tokens.size() + 1 < word.size()) continue;
    const size_t prefix = word.size() - 1;
    if (std::equal(word.begin(), word.end() - 1, tokens.end() - static_cast<std::ptrdiff_t>(prefix))) {
      logits[static_cast<size_t>(word.back())] = kMaskedLogit;
    }
  }
}

void ApplyBitmask(std::span<const uint32_t> mask, std::span<float> logits) {
  for (size_t word = 0; word * 32 < logits.size(); ++word) {
    const uint32_t bits = word < mask.size() ? mask[word] : 0;
    if (bits == 0xffffffffu) continue;
    const size_t end = std::min(logits.size(), word * 32 + 32);
    for (size_t t = word * 32; t < end; ++t) {
      if ((bits >> (t % 32) & 1u) == 0) logits[t] = kMaskedLogit;
    }
  }
}

}  // namespace millrace
