// TokenHistory: the tokens of one sequence with the counts that penalties need.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "base/token.h"

namespace millrace {

class TokenHistory {
 public:
  TokenHistory() = default;
  TokenHistory(std::vector<TokenId> tokens, int num_prompt_tokens);

  void Push(TokenId token);
  std::span<const TokenId> tokens() const { return tokens_; }
  int num_prompt_tokens() const { return num_prompt_tokens_; }
  int num_generated() const { return static_cast<int>(tokens_.size()) - num_prompt_tokens_; }
  // Times each token occurs in the prompt and the output; in the output.
  const std::unordered_map<TokenId, int>& all_counts() const { return all_counts_; }
  const std::unordered_map<TokenId, int>& output_counts() const { return output_counts_; }

 private:
  std::vector<TokenId> tokens_;
  int num_prompt_tokens_ = 0;
  std::unordered_map<TokenId, int> all_counts_, output_counts_;
};

}  // namespace millrace
