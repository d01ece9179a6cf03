// Canonical weights of a GGUF file: renames tensors, splits fused and stacked ones, undoes conversions of values.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "core/model_config.h"
#include "model_loader/gguf_reader.h"
#include "model_loader/weight_table.h"

namespace millrace {

// Adds the tensors of one file (a split has several). `file` must outlive the table. Tensors that are no weights (rope
// tables, layers of next-token prediction heads) are left out; a name that no supported architecture has is
// kUnsupported.
Status AddGgufWeights(const GgufHeader& header, std::span<const std::byte> file, const std::string& where,
                      const ModelConfig& config, WeightTable& table);

}  // namespace millrace
