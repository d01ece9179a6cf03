// Canonical weights of a Hugging Face folder: renames tensors, undoes Conv1D transposition, splits stacks of experts,
// joins MXFP4 blocks and FP8 values with their scales.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/model_config.h"
#include "model_loader/safetensors_reader.h"
#include "model_loader/weight_table.h"

namespace millrace {

// A stored tensor and where its bytes are mapped.
struct HfTensor {
  std::string name;  // canonical; '*' stands for an expert's number
  const SafeTensor* stored = nullptr;
  std::span<const std::byte> bytes;
};

// Adds every weight in `tensors` (file order). The mapped bytes must outlive the table. kUnsupported names a tensor of
// a type that is not read.
Status AddHfWeights(const std::vector<HfTensor>& tensors, const ModelConfig& config, WeightTable& table);

// True for tensors that only scale others (FP8 and MXFP4 scales); they are no parameters.
bool IsScaleTensor(std::string_view canonical_name);

}  // namespace millrace
