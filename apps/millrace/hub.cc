#include <filesystem>

#include "commands.h"

namespace millrace {

Result<std::string> ResolveModel(const std::string& model) {
  if (model.starts_with("synth:") || std::filesystem::exists(model)) return model;
  return NotFound("{} is no file or folder here", model);
}

}  // namespace millrace
