// The tensors and metadata of a synthetic model, as llama.cpp's converter writes them for its architecture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model_loader/gguf_writer.h"
#include "model_loader/synth/shape.h"
#include "model_loader/synth/type_mix.h"

namespace millrace {

struct SynthTensor {
  enum class Fill { kRandom, kConstant, kValues };
  std::string name;
  std::vector<int64_t> dims;  // dims[0] is contiguous
  Fill fill = Fill::kRandom;
  float value = 0.0f;         // standard deviation, or the constant
  std::vector<float> values;  // for kValues: all of them (F32)
};

// In file order.
std::vector<SynthTensor> SynthTensors(const SynthShape& shape);

// Everything but the vocabulary.
void SetSynthMetadata(const SynthShape& shape, const TypeMix& mix, GgufWriter& writer);

}  // namespace millrace
