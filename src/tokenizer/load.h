// Where tokenizers come from. Every function answers kNotFound or kUnavailable for files that can't be read, kDataLoss
// for damaged ones, kUnsupported for parts that this build does not implement, kOutOfRange beyond a bound (files 256
// MiB, 4 Mi tokens, JSON depth 64). Nothing in a file reaches a CHECK.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// tokenizer.ggml.* of a GGUF file.
struct GgufVocab {
  std::string model;                // "gpt2", "llama", "bert", "t5", "gemma4"
  std::string pre;                  // "llama-bpe", "qwen2", ...; empty when the key is missing
  std::vector<std::string> tokens;  // index = id
  std::vector<float> scores;        // one per token, or empty
  std::vector<int32_t>
      token_types;  // one per token, or empty: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;   // "left right", best first
  std::string precompiled_charsmap;  // bytes; may be empty
  std::optional<TokenId> bos_id, eos_id, unk_id, sep_id, pad_id, eot_id, eom_id, cls_id;
  std::optional<bool> add_bos, add_eos, add_sep, add_space_prefix, remove_extra_whitespaces;
};
Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const GgufVocab& vocab);

// Hugging Face's tokenizer.json. tokenizer_config_json may be empty: then BOS and EOS are guessed from well-known
// names.
Result<std::unique_ptr<Tokenizer>> LoadTokenizerJson(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json = {});

// SentencePiece's tokenizer.model (BPE or Unigram).
Result<std::unique_ptr<Tokenizer>> LoadSentencePiece(std::string_view model_proto,
                                                     std::string_view tokenizer_config_json = {});

// A tiktoken rank file ("base64 rank" lines). The pattern and the special tokens follow from the number of ranks: r50k,
// p50k, cl100k, o200k, Llama 3; added_tokens_decoder of tokenizer_config.json replaces the special tokens.
Result<std::unique_ptr<Tokenizer>> LoadTiktoken(std::string_view ranks, std::string_view tokenizer_config_json = {});

// vocab.json and merges.txt of GPT-2 and its descendants; tokenizer_class of tokenizer_config.json selects the pattern.
Result<std::unique_ptr<Tokenizer>> LoadVocabAndMerges(std::string_view vocab_json, std::string_view merges,
                                                      std::string_view tokenizer_config_json = {});

// The best of what a model folder holds: tokenizer.json, else tokenizer.model (either kind), else vocab.json +
// merges.txt. EOS ids of generation_config.json and config.json join end_ids.
Result<std::unique_ptr<Tokenizer>> LoadTokenizerFromFolder(const std::string& folder);

}  // namespace millrace
