#include <algorithm>
#include <filesystem>

#include "model_loader/file_checkpoint.h"
#include "model_loader/fused_weights.h"
#include "model_loader/hf_config.h"
#include "model_loader/hf_names.h"
#include "model_loader/hf_weights.h"
#include "model_loader/json_file.h"
#include "model_loader/safetensors_index.h"
#include "model_loader/safetensors_reader.h"
#include "tokenizer/load.h"

namespace millrace {
namespace {

constexpr size_t kMaxTemplateBytes = 1 << 20;

class SafetensorsCheckpoint final : public FileCheckpoint {
 public:
  Status Open(const std::string& folder);
  Result<std::unique_ptr<Tokenizer>> MakeTokenizer() const override;

 private:
  Status ReadConfigs(const std::string& folder);
  Status ReadTemplate(const std::string& folder);
  Status MapFiles(const std::string& folder);
  Status AddWeights();
  void CountStored(const HfTensor& tensor);

  std::vector<std::vector<SafeTensor>> stored_;  // for each of files_
};

// The object in a file that may be missing; an empty object then.
Result<nlohmann::json> ReadOptional(const std::string& path) {
  Result<nlohmann::json> value = ReadJsonObject(path);
  if (!value.ok() && value.status().code() == StatusCode::kNotFound) return nlohmann::json::object();
  return value;
}

Status SafetensorsCheckpoint::ReadConfigs(const std::string& folder) {
  const std::string path = folder + "/config.json", generation_path = folder + "/generation_config.json";
  ASSIGN_OR_RETURN(const nlohmann::json config, ReadJsonObject(path));
  ASSIGN_OR_RETURN(const nlohmann::json generation, ReadOptional(generation_path));
  ASSIGN_OR_RETURN(config_, ReadHfConfig(config, generation, path));
  ASSIGN_OR_RETURN(defaults_, ReadHfGenerationDefaults(generation, generation_path));
  return OkStatus();
}

// chat_template.jinja wins over tokenizer_config.json, as in transformers; a list of named templates gives "default".
Status SafetensorsCheckpoint::ReadTemplate(const std::string& folder) {
  Result<std::string> file = ReadFile(folder + "/chat_template.jinja", kMaxTemplateBytes);
  if (file.ok()) {
    chat_template_ = std::move(file).value();
    return OkStatus();
  }
  if (file.status().code() != StatusCode::kNotFound) return file.status();
  ASSIGN_OR_RETURN(const nlohmann::json tokenizer, ReadOptional(folder + "/tokenizer_config.json"));
  const auto it = tokenizer.find("chat_template");
  if (it == tokenizer.end()) return OkStatus();
  if (it->is_string()) chat_template_ = it->get<std::string>();
  if (!it->is_array()) return OkStatus();
  for (const nlohmann::json& entry : *it) {
    if (entry.is_object() && entry.value("name", nlohmann::json()) == "default" &&
        entry.value("template", nlohmann::json()).is_string()) {
      chat_template_ = entry["template"].get<std::string>();
    }
  }
  return OkStatus();
}

Status SafetensorsCheckpoint::MapFiles(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListSafetensorsFiles(folder));
  size_t num_tensors = 0;
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
    ASSIGN_OR_RETURN(std::vector<SafeTensor> tensors, ParseSafetensors(file.bytes(), path));
    num_tensors += tensors.size();
    if (num_tensors > kMaxWeights) return OutOfRange("{}: the files hold more than {} tensors", folder, kMaxWeights);
    info_.file_bytes += static_cast<int64_t>(file.bytes().size());
    files_.push_back(std::move(file));
    stored_.push_back(std::move(tensors));
  }
  return OkStatus();
}

void SafetensorsCheckpoint::CountStored(const HfTensor& tensor) {
  const SafeTensor& stored = *tensor.stored;
  const bool mx = tensor.name.ends_with("_proj_blocks") || tensor.name.ends_with("_proj_scales");
  const int64_t values = mx ? 2 * stored.elements() : stored.elements();
  Count(mx ? DType::kMXFP4 : stored.dtype.value_or(DType::kI8), IsScaleTensor(tensor.name) ? 0 : values,
        static_cast<int64_t>(stored.bytes));
}

Status SafetensorsCheckpoint::AddWeights() {
  std::vector<HfTensor> tensors;
  bool has_embedding = false, has_head = false;
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const SafeTensor& stored : stored_[i]) {
      std::optional<std::string> name = CanonicalHfName(stored.name, config_);
      if (!name) continue;
      has_embedding |= *name == "model.embed_tokens.weight";
      has_head |= *name == "lm_head.weight";
      tensors.push_back({std::move(*name), &stored, files_[i].bytes().subspan(stored.offset, stored.bytes)});
    }
  }
  if (!has_head) config_.tie_word_embeddings = true;
  // Of tied embeddings one copy counts, under whichever name it was saved.
  if (config_.tie_word_embeddings && has_head) {
    const auto head =
        std::find_if(tensors.begin(), tensors.end(), [](const HfTensor& t) { return t.name == "lm_head.weight"; });
    if (has_embedding) {
      tensors.erase(head);
    } else {
      head->name = "model.embed_tokens.weight";
    }
  }
  for (const HfTensor& tensor : tensors) CountStored(tensor);
  RETURN_IF_ERROR(AddHfWeights(tensors, config_, table_));
  return AddFusedViews(config_, table_);
}

Status SafetensorsCheckpoint::Open(const std::string& folder) {
  info_.format = "safetensors";
  info_.path = folder;
  std::error_code error;
  info_.name = std::filesystem::weakly_canonical(folder, error).filename().string();
  RETURN_IF_ERROR(ReadConfigs(folder));
  RETURN_IF_ERROR(ReadTemplate(folder));
  RETURN_IF_ERROR(MapFiles(folder));
  return AddWeights().WithPrefix(folder);
}

Result<std::unique_ptr<Tokenizer>> SafetensorsCheckpoint::MakeTokenizer() const {
  return LoadTokenizerFromFolder(info_.path);
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> OpenSafetensorsCheckpoint(const std::string& folder) {
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>();
  RETURN_IF_ERROR(checkpoint->Open(folder));
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace millrace
