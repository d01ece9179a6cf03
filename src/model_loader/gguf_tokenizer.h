// The vocabulary of a GGUF file.
#pragma once

#include <string>

#include "base/status.h"
#include "model_loader/gguf_reader.h"
#include "tokenizer/load.h"

namespace millrace {

// tokenizer.ggml.* as the tokenizer wants it. kNotFound when the file has no vocabulary, kDataLoss when parallel lists
// differ in length.
Result<GgufVocab> ReadGgufVocab(const GgufHeader& header, const std::string& where);

}  // namespace millrace
