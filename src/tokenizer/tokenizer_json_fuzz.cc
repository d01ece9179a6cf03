#include "tokenizer/fuzz_exercise.h"
#include "tokenizer/load.h"

// Input: tokenizer.json, then after the last NUL byte the text to encode.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.rfind('\0');
  const std::string_view text = cut == std::string_view::npos ? "Hello <s> w\xC3\xB6rld 12\n" : input.substr(cut + 1);
  const auto tokenizer = millrace::LoadTokenizerJson(input.substr(0, cut));
  if (tokenizer.ok()) millrace::testing::Exercise(**tokenizer, text);
  return 0;
}
