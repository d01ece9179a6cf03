// Which files of a folder hold the weights.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace {

inline constexpr size_t kMaxIndexBytes = 16 << 20;
inline constexpr size_t kMaxShards = 1024;

// File names, sorted: those that model.safetensors.index.json names, else model.safetensors, else the one *.safetensors
// file there is. Names in the index must be plain file names, so that an index never reaches outside its folder.
Result<std::vector<std::string>> ListSafetensorsFiles(const std::string& folder);

// The distinct file names in an index.
Result<std::vector<std::string>> ParseSafetensorsIndex(std::string_view text, const std::string& where);

}  // namespace millrace
