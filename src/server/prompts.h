// The prompts of /v1/completions, and the inputs of /v1/embeddings.
#pragma once

#include <string>
#include <vector>

#include "server/fields.h"
#include "server/service.h"

namespace millrace {

struct Prompt {
  std::vector<TokenId> token_ids;
  std::string text;  // for echo
};

// A string, a list of strings, a list of token ids or a list of such lists, in `field`. Text becomes no control token.
Result<std::vector<Prompt>> ReadPrompts(const Service& service, const Fields& fields, const char* field,
                                        size_t max_prompts);

// Wraps each prompt for fill-in-the-middle; kUnsupported when the vocabulary has no tokens for it.
Status InsertSuffix(const Tokenizer& tokenizer, const std::string& suffix, std::vector<Prompt>& prompts);

// Refuses a text that has more tokens than the context however it is cut, before it is tokenized.
Status CheckTextSize(const Service& service, const char* field, size_t bytes);

}  // namespace millrace
