// Any bytes as a GGUF file: opened or refused, never a crash. Corpus: tests/fuzz/corpus/gguf.
#include <string>

#include "model_loader/damage_test_util.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  (void)millrace::ReadWholeGguf(file, "fuzz.gguf");
  return 0;
}
