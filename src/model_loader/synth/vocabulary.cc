#include "model_loader/synth/vocabulary.h"

#include <array>
#include <string_view>

#include "base/check.h"

namespace millrace {
namespace {

constexpr int kNumControl = 4;
constexpr int32_t kNormalToken = 1, kControlToken = 3;
constexpr std::array<const char*, kNumControl> kControl = {"<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>",
                                                           "<|im_end|>"};
constexpr std::string_view kTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' "
    "}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// GPT-2's spelling of a byte: printable ones are themselves, the others are U+0100 and up, in order.
std::array<std::string, 256> ByteSpellings() {
  std::array<std::string, 256> out;
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    const int code = printable ? b : next++;
    if (code < 0x80) {
      out[static_cast<size_t>(b)] = std::string(1, static_cast<char>(code));
    } else {
      out[static_cast<size_t>(b)] = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  return out;
}

// Bytes in the order in which they are merged: frequent letters of English first.
std::vector<std::string> MergeOrder(const std::array<std::string, 256>& spellings) {
  constexpr std::string_view kFrequent = " etaoinshrdlucmfwypvbgkjqxz";
  std::vector<std::string> order;
  for (const char c : kFrequent) order.push_back(spellings[static_cast<uint8_t>(c)]);
  for (int b = 0; b < 256; ++b) {
    if (kFrequent.find(static_cast<char>(b)) == std::string_view::npos)
      order.push_back(spellings[static_cast<size_t>(b)]);
  }
  return order;
}

}  // namespace

SynthVocabulary MakeSynthVocabulary(int size) {
  CHECK(size >= 256 + kNumControl, "{} tokens", size);
  const size_t wanted = static_cast<size_t>(size - kNumControl);
  const std::array<std::string, 256> spellings = ByteSpellings();
  const std::vector<std::string> order = MergeOrder(spellings);
  SynthVocabulary vocabulary;
  vocabulary.tokens.assign(spellings.begin(), spellings.end());
  const auto merge = [&](std::string left, std::string right) {  // copies: the arguments may be tokens
    vocabulary.tokens.push_back(left + right);
    vocabulary.merges.push_back(left + " " + right);
  };
  // Pairs with growing indices, then a pair and a byte: squares of 256 and a cube, more than any vocabulary needs.
  for (size_t sum = 0; sum < 2 * order.size() && vocabulary.tokens.size() < wanted; ++sum) {
    for (size_t i = 0; i <= sum && vocabulary.tokens.size() < wanted; ++i) {
      if (i < order.size() && sum - i < order.size()) merge(order[i], order[sum - i]);
    }
  }
  for (size_t i = 0; vocabulary.tokens.size() < wanted; ++i) merge(vocabulary.tokens[256 + i / 256], order[i % 256]);
  vocabulary.types.assign(vocabulary.tokens.size(), kNormalToken);
  for (const char* control : kControl) {
    vocabulary.tokens.push_back(control);
    vocabulary.types.push_back(kControlToken);
  }
  return vocabulary;
}

void SetSynthVocabulary(const SynthShape& shape, GgufWriter& writer) {
  const SynthVocabulary vocabulary = MakeSynthVocabulary(shape.vocab_size);
  const uint32_t first_control = static_cast<uint32_t>(shape.vocab_size - kNumControl);
  const bool qwen = shape.arch.starts_with("qwen");
  writer.SetString("tokenizer.ggml.model", "gpt2");
  writer.SetString("tokenizer.ggml.pre", qwen ? "qwen2" : "llama-bpe");
  writer.SetStrings("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.SetInt32s("tokenizer.ggml.token_type", vocabulary.types);
  writer.SetStrings("tokenizer.ggml.merges", vocabulary.merges);
  writer.SetUint32("tokenizer.ggml.bos_token_id", first_control);
  writer.SetUint32("tokenizer.ggml.eos_token_id", first_control + 1);
  writer.SetUint32("tokenizer.ggml.eot_token_id", first_control + 3);
  writer.SetUint32("tokenizer.ggml.padding_token_id", first_control + 1);
  writer.SetBool("tokenizer.ggml.add_bos_token", !qwen);
  writer.SetString("tokenizer.chat_template", kTemplate);
}

}  // namespace millrace
