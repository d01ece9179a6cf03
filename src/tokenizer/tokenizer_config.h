// What tokenizer_config.json says beside the vocabulary.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/pipeline.h"

namespace millrace {

struct TokenizerConfig {
  std::string tokenizer_class;
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<bool> add_prefix_space;
  std::vector<AddedToken> added;  // added_tokens_decoder
  std::vector<TokenId> end_ids;   // "eos_token_id", a number or a list
};

// A JSON object of a model folder: at most 32 MiB, 64 levels.
Result<nlohmann::json> ParseConfigJson(std::string_view json, std::string_view name);

// Empty text gives an empty config.
Result<TokenizerConfig> ParseTokenizerConfig(std::string_view json);

// Puts added tokens into the vocabulary, growing it. kDataLoss where an id is far beyond the tokens that there are, so
// that a small file can't ask for much memory.
Status AddToVocabulary(const std::vector<AddedToken>& added, std::vector<VocabEntry>* entries);

// The config's end_ids that the vocabulary has. Files of a model whose embedding is padded may name more.
void KeepEndIds(const TokenizerConfig& config, TokenizerParts* parts);

// KeepEndIds, and BOS and EOS as the config names them; without a config, from well-known names.
void SetBosAndEos(const TokenizerConfig& config, TokenizerParts* parts);

}  // namespace millrace
