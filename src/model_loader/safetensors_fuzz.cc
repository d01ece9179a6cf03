// Any bytes as a model folder: the first line is config.json, the rest the safetensors file.
// Corpus: tests/fuzz/corpus/safetensors.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "model_loader/damage_test_util.h"
#include "model_loader/json_file.h"
#include "model_loader/safetensors_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  const std::string_view json = input.substr(0, line);
  (void)millrace::ParseSafetensorsIndex(json, "index.json");
  const auto object = millrace::ParseJsonObject(json, "config.json");
  if (!object.ok()) return 0;
  const auto config = millrace::ReadHfConfig(*object, *object, "config.json");
  (void)millrace::ReadHfGenerationDefaults(*object, "generation_config.json");
  if (!config.ok() || line == std::string_view::npos) return 0;
  const std::string file(input.substr(line + 1));
  (void)millrace::ReadWholeSafetensors(file, *config, "fuzz.safetensors");
  return 0;
}
