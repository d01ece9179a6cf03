// Rotary embedding fields of a Hugging Face config.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"
#include "core/model_config.h"

namespace millrace {

// Fills rope_theta, rope_local_theta, rotary_dim and rope_scaling. config's model_type, hidden_size, heads and context
// are read already.
Status ReadHfRope(const nlohmann::json& json, const std::string& where, ModelConfig& config);

}  // namespace millrace
