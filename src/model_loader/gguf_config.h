// ModelConfig and generation defaults from GGUF metadata. Keys are those of llama.cpp's llama-arch.cpp.
#pragma once

#include <string>

#include "base/status.h"
#include "core/model_config.h"
#include "model_loader/checkpoint.h"
#include "model_loader/gguf_reader.h"

namespace millrace {

// Architectures are translated to their Hugging Face names: "llama" becomes "llama" or "mixtral", "gemma3" becomes
// "gemma3_text", "qwen3moe" becomes "qwen3_moe", "gpt-oss" becomes "gpt_oss", "qwen3next" becomes "qwen3_next".
// kUnsupported names an architecture that is not read. What only tensors tell (vocab_size, tied embeddings, rope factor
// tables) is filled from the header's tensor list and `file`.
Result<ModelConfig> ReadGgufConfig(const GgufHeader& header, std::span<const std::byte> file, const std::string& where);

Result<GenerationDefaults> ReadGgufGenerationDefaults(const GgufHeader& header, const std::string& where);

}  // namespace millrace
