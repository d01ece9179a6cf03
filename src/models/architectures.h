// The known architectures: one function each, in a file of its own.
#pragma once

#include <memory>

#include "models/layers/decoder.h"

namespace millrace {

Result<std::unique_ptr<Model>> MakeLlama(
    DecoderBuilder& builder);  // Llama, Mistral, Qwen2, Phi-3/4, SmolLM 1-3, Granite 3
Result<std::unique_ptr<Model>> MakeMixtral(DecoderBuilder& builder);
Result<std::unique_ptr<Model>> MakeQwen3(DecoderBuilder& builder);  // Qwen3, Qwen3-MoE
Result<std::unique_ptr<Model>> MakeQwen3Next(DecoderBuilder& builder);
Result<std::unique_ptr<Model>> MakeGemma(DecoderBuilder& builder);  // Gemma 2, Gemma 3 (text)
Result<std::unique_ptr<Model>> MakeOlmo2(DecoderBuilder& builder);
Result<std::unique_ptr<Model>> MakeGpt2(DecoderBuilder& builder);
Result<std::unique_ptr<Model>> MakeGptOss(DecoderBuilder& builder);

}  // namespace millrace
