// Logprobs in the shapes of the APIs.
#pragma once

#include <span>

#include "core/batch.h"
#include "server/json.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// Of /v1/chat/completions: [{"token", "logprob", "bytes", "top_logprobs": [...]}].
Json ChatLogprobs(const Tokenizer& tokenizer, std::span<const OutputResult> tokens, int num_top);

// Of /v1/completions: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}. The offset counts characters (code
// points) of the text that the tokens stand for and goes on from call to call.
class CompletionLogprobs {
 public:
  explicit CompletionLogprobs(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // The first token of a prompt has no logprob.
  void AddUnknown(TokenId token);
  void Add(std::span<const OutputResult> tokens, int num_top);
  // What was added since the last call; null when nothing was.
  Json Take();

 private:
  void Append(TokenId token, Json logprob, Json top);
  const Tokenizer& tokenizer_;
  int64_t offset_ = 0;
  Json pending_;
};

// vLLM's prompt_logprobs: [null, {"id": {"logprob", "rank", "decoded_token"}}, ...].
Json PromptLogprobs(const Tokenizer& tokenizer, std::span<const OutputResult> tokens);

std::vector<TokenId> TokenIds(std::span<const OutputResult> tokens);

// What a token adds to the text, made valid UTF-8.
std::string TokenString(const Tokenizer& tokenizer, TokenId token);

}  // namespace millrace
