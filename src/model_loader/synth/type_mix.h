// The type of every tensor in a quantised file, as llama-quantize chooses without an importance matrix (facts from
// llama-quant.cpp). MXFP4 there is for experts alone, with Q8_0 elsewhere; a dense shape takes it for all layers, so
// that its kernels can be measured too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "model_loader/synth/shape.h"

namespace millrace {

struct TypeMix {
  std::string_view name;  // "Q4_K_M"
  DType base;             // the type of most matrices
  int file_type;          // general.file_type
};

const std::vector<TypeMix>& TypeMixes();
Result<TypeMix> FindTypeMix(std::string_view name);

// The type of a tensor, by its GGUF name and the length of its rows. Vectors, routers, positions and convolutions stay
// F32.
DType ChooseType(const TypeMix& mix, const SynthShape& shape, std::string_view name, int64_t cols, bool is_matrix);

}  // namespace millrace
