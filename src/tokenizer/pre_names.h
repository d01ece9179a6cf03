// The pre-tokenizers that GGUF files name in tokenizer.ggml.pre: published expressions and the habits that go with
// them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace millrace {

struct PreTokenizerInfo {
  // Applied one after the other; each cuts the pieces of the one before at its matches.
  std::vector<std::string_view> patterns;
  bool ignore_merges = false;
  bool add_bos = false;    // where the file does not say
  bool nfc = false;        // the model's own tokenizer normalizes to NFC
  bool byte_level = true;  // false: SentencePiece characters and "<0x0A>" (Gemma 4)
};

// Null when the name is unknown. An empty name is "default".
const PreTokenizerInfo* FindPreTokenizer(std::string_view name);

// Expressions that other loaders need by name.
std::string_view Gpt2Regex();
std::string_view Llama3Regex();
std::string_view Qwen2Regex();
std::string_view Cl100kRegex();
std::string_view O200kRegex();

}  // namespace millrace
