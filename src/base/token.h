// The id of a token in a model's vocabulary; negative values mean "none".
#pragma once

#include <cstdint>

namespace millrace {

using TokenId = int32_t;

}  // namespace millrace
