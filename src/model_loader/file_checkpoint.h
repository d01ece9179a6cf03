// What GGUF and safetensors checkpoints share: mapped files and the table of weights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "model_loader/checkpoint.h"
#include "model_loader/weight_table.h"

namespace millrace {

class FileCheckpoint : public Checkpoint {
 public:
  const ModelConfig& config() const override { return config_; }
  const CheckpointInfo& info() const override { return info_; }
  const GenerationDefaults& generation_defaults() const override { return defaults_; }
  const std::string& chat_template() const override { return chat_template_; }
  const WeightTensor* Find(std::string_view name) const override { return table_.Find(name); }
  std::vector<const WeightTensor*> tensors() const override { return table_.Listed(); }
  void Release(const WeightTensor& tensor) const override;

 protected:
  // Counts a stored tensor in info().
  void Count(DType type, int64_t elements, int64_t bytes);

  ModelConfig config_;
  CheckpointInfo info_;
  GenerationDefaults defaults_;
  std::string chat_template_;
  std::vector<MappedFile> files_;
  WeightTable table_;
};

Result<std::unique_ptr<Checkpoint>> OpenGgufCheckpoint(const std::string& path);
Result<std::unique_ptr<Checkpoint>> OpenSafetensorsCheckpoint(const std::string& folder);

}  // namespace millrace
