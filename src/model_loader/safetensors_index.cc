#include "model_loader/safetensors_index.h"

#include <simdjson.h>

#include <filesystem>
#include <set>

#include "base/file.h"

namespace millrace {

Result<std::vector<std::string>> ParseSafetensorsIndex(std::string_view text, const std::string& where) {
  constexpr size_t kMaxDepth = 8;
  simdjson::dom::parser parser;
  simdjson::dom::object map;
  simdjson::error_code error = parser.allocate(text.size() + 1, kMaxDepth);
  if (error == simdjson::SUCCESS) error = parser.parse(text.data(), text.size())["weight_map"].get(map);
  if (error != simdjson::SUCCESS)
    return DataLoss("{}: field weight_map is missing or no object ({})", where, simdjson::error_message(error));
  std::set<std::string, std::less<>> files;
  for (const simdjson::dom::key_value_pair entry : map) {
    std::string_view file;
    if (entry.value.get(file) != simdjson::SUCCESS)
      return DataLoss("{}: an entry of weight_map is not a file name", where);
    if (files.contains(file)) continue;
    if (!file.ends_with(".safetensors") || file.find('/') != std::string_view::npos || file.size() > 255 ||
        file.find('\0') != std::string_view::npos) {
      return DataLoss("{}: weight_map names a file that is not a plain *.safetensors name", where);
    }
    if (files.size() == kMaxShards) return DataLoss("{}: weight_map names more than {} files", where, kMaxShards);
    files.emplace(file);
  }
  if (files.empty()) return DataLoss("{}: weight_map is empty", where);
  return std::vector<std::string>(files.begin(), files.end());
}

Result<std::vector<std::string>> ListSafetensorsFiles(const std::string& folder) {
  const std::string index_path = folder + "/model.safetensors.index.json";
  const Result<std::string> index = ReadFile(index_path, kMaxIndexBytes);
  if (index.ok()) return ParseSafetensorsIndex(*index, index_path);
  if (index.status().code() != StatusCode::kNotFound) return index.status();
  std::error_code error;
  if (std::filesystem::exists(folder + "/model.safetensors", error))
    return std::vector<std::string>{"model.safetensors"};
  std::vector<std::string> found;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(".safetensors")) found.push_back(name);
    if (found.size() > 1) break;
  }
  if (error) return Unavailable("{}: cannot list the folder: {}", folder, error.message());
  if (found.empty()) return NotFound("{}: there are no *.safetensors files", folder);
  if (found.size() > 1)
    return InvalidArgument(
        "{}: several *.safetensors files and no model.safetensors.index.json that says which to read", folder);
  return found;
}

}  // namespace millrace
