// Opening what a user names: a model, or only its tokenizer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model_loader/checkpoint.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// A .gguf file, a safetensors folder, or synth:SHAPE:TYPE (random weights in a named shape, in memory).
Result<std::shared_ptr<const Checkpoint>> OpenModel(const std::string& model);

// The tokenizer of a model, or of a tokenizer.json, a tokenizer.model (SentencePiece or tiktoken) or a folder with one.
Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& path);

// Every id that ends a generation: the tokenizer's and the config's.
std::vector<TokenId> EndIds(const Tokenizer& tokenizer, const ModelConfig& config);

}  // namespace millrace
