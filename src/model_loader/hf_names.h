// Canonical names of the tensors in a Hugging Face folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/model_config.h"

namespace millrace {

// The canonical name of a stored tensor (see checkpoint.h); stacks of experts have '*' for the expert's number
// (GPT-OSS's keep their own names: they need their blocks, scales and biases together). nullopt for what is no weight
// of the language model: rotary tables, causal masks, vision towers, prediction heads, activation scales.
std::optional<std::string> CanonicalHfName(std::string_view name, const ModelConfig& config);

}  // namespace millrace
