// Synthetic models: random weights in the shape of published ones, with a valid vocabulary and llama-quantize's mix of
// types, so that speed can be measured without the weights and llama.cpp loads the same file. The text they write means
// nothing; activations stay finite.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model_loader/checkpoint.h"

namespace millrace {

// "llama-3.2-1b", "qwen3-30b-a3b", ...; "tiny-llama", "tiny-gemma3", ... have every architecture in less than a
// megabyte.
std::vector<std::string> SynthShapeNames();
// "F32", "Q4_0", "Q4_K_M", ...: the names that llama-quantize takes; "Q4_K" means "Q4_K_M".
std::vector<std::string> SynthTypeNames();

// Writes a GGUF file, using every core. The bytes depend on shape, type and seed alone. kInvalidArgument lists the
// names for an unknown one.
Status WriteSynthGguf(std::string_view shape, std::string_view type, const std::string& path, uint64_t seed = 0);

// The same model in memory, without a file on disk.
Result<std::unique_ptr<Checkpoint>> MakeSynthCheckpoint(std::string_view shape, std::string_view type,
                                                        uint64_t seed = 0);

}  // namespace millrace
