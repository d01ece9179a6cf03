// ModelConfig and generation defaults from a Hugging Face folder's config.json and generation_config.json. Fields and
// defaults are those of transformers' configuration classes, in the layouts of versions 4 (rope_scaling, rope_theta)
// and 5 (rope_parameters).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"
#include "core/model_config.h"
#include "model_loader/checkpoint.h"

namespace millrace {

// `config` is config.json; a multimodal wrapper's text_config is used. `generation` is generation_config.json, or an
// empty object; it wins where both name end tokens. `where` starts error messages. kUnsupported names a model_type that
// is not read.
Result<ModelConfig> ReadHfConfig(const nlohmann::json& config, const nlohmann::json& generation,
                                 const std::string& where);

Result<GenerationDefaults> ReadHfGenerationDefaults(const nlohmann::json& generation, const std::string& where);

}  // namespace millrace
