// A byte-level BPE vocabulary for synthetic models.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model_loader/gguf_writer.h"
#include "model_loader/synth/shape.h"

namespace millrace {

struct SynthVocabulary {
  std::vector<std::string> tokens;  // the 256 bytes, what the merges make, four control tokens
  std::vector<int32_t> types;       // GGUF's: 1 normal, 3 control
  std::vector<std::string> merges;  // one for each token that is no byte and no control token
};

// Exactly `size` tokens, 260 <= size. Letters and spaces are merged first, so that English text is encoded in fewer
// tokens than bytes.
SynthVocabulary MakeSynthVocabulary(int size);

// Writes tokenizer.ggml.* and a ChatML template.
void SetSynthVocabulary(const SynthShape& shape, GgufWriter& writer);

}  // namespace millrace
