#include "tokenizer/fuzz_exercise.h"
#include "tokenizer/load.h"

// The first byte says how many bytes of text follow it; the rest is tokenizer.model.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const size_t text_size = std::min<size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
  const auto tokenizer = millrace::LoadSentencePiece(input.substr(1 + text_size));
  if (tokenizer.ok()) millrace::testing::Exercise(**tokenizer, input.substr(1, text_size));
  return 0;
}
