// Helpers of this folder's tests: the shared data folder, the vectors of ggml-vocab, and a reader of GGUF metadata that
// trusts its file.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "tokenizer/load.h"

namespace millrace::testing {

inline std::filesystem::path DataFolder() {
  const char* folder = std::getenv("MILLRACE_DATA");
  if (folder != nullptr && folder[0] != '\0') return folder;
  return std::filesystem::path(MILLRACE_SOURCE_DIR) / ".." / "shared" / "data";
}

inline std::string TokenizerFile(const std::string& name) {
  return (DataFolder() / "tokenizers" / name).string();
}

inline std::string Slurp(const std::string& path) {
  auto text = ReadFile(path, 512 << 20);
  return text.ok() ? *std::move(text) : std::string();
}

struct Vector {
  std::string text;
  std::vector<TokenId> ids;
};

// NAME.gguf.inp holds texts between separators, NAME.gguf.out one line of ids for each.
inline std::vector<Vector> ReadVectors(const std::string& name) {
  static constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string stem = TokenizerFile("ggml-vocab/ggml-vocab-" + name + ".gguf");
  const std::string inputs = Slurp(stem + ".inp");
  std::istringstream outputs(Slurp(stem + ".out"));
  std::vector<Vector> vectors;
  size_t begin = 0;
  for (std::string line; std::getline(outputs, line);) {
    const size_t end = inputs.find(kSeparator, begin);
    if (end == std::string::npos) break;
    Vector vector;
    vector.text = inputs.substr(begin, end - begin);
    std::istringstream ids(line);
    for (TokenId id; ids >> id;) vector.ids.push_back(id);
    vectors.push_back(std::move(vector));
    begin = end + kSeparator.size();
  }
  return vectors;
}

class GgufMetadata {
 public:
  static GgufVocab ReadVocab(const std::string& path) {
    GgufMetadata reader(Slurp(path));
    return reader.Read();
  }

 private:
  explicit GgufMetadata(std::string bytes) : bytes_(std::move(bytes)) {}

  template <typename T>
  T Take() {
    CHECK_LE(at_ + sizeof(T), bytes_.size());
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string TakeString() {
    const auto size = Take<uint64_t>();
    std::string text = bytes_.substr(at_, size);
    at_ += size;
    return text;
  }

  int64_t TakeNumber(uint32_t type) {
    switch (type) {
      case 0:
        return Take<uint8_t>();
      case 1:
        return Take<int8_t>();
      case 2:
        return Take<uint16_t>();
      case 3:
        return Take<int16_t>();
      case 4:
        return Take<uint32_t>();
      case 5:
        return Take<int32_t>();
      case 7:
        return Take<uint8_t>();
      case 10:
      case 11:
        return Take<int64_t>();
      case 6:
        return static_cast<int64_t>(Take<float>());
      default:
        return static_cast<int64_t>(Take<double>());
    }
  }

  void TakeArray(const std::string& key, GgufVocab* vocab) {
    const auto type = Take<uint32_t>();
    const auto count = Take<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) {
      if (type == 8) {
        std::string text = TakeString();
        if (key == "tokenizer.ggml.tokens")
          vocab->tokens.push_back(std::move(text));
        else if (key == "tokenizer.ggml.merges")
          vocab->merges.push_back(std::move(text));
      } else if (type == 6) {
        const float value = Take<float>();
        if (key == "tokenizer.ggml.scores") vocab->scores.push_back(value);
      } else {
        const int64_t value = TakeNumber(type);
        if (key == "tokenizer.ggml.token_type") vocab->token_types.push_back(static_cast<int32_t>(value));
        if (key == "tokenizer.ggml.precompiled_charsmap")
          vocab->precompiled_charsmap.push_back(static_cast<char>(value));
      }
    }
  }

  GgufVocab Read() {
    GgufVocab vocab;
    Take<uint32_t>();
    Take<uint32_t>();
    Take<uint64_t>();
    const auto num_keys = Take<uint64_t>();
    for (uint64_t i = 0; i < num_keys; ++i) {
      const std::string key = TakeString();
      const auto type = Take<uint32_t>();
      if (type == 9) {
        TakeArray(key, &vocab);
      } else if (type == 8) {
        const std::string value = TakeString();
        if (key == "tokenizer.ggml.model") vocab.model = value;
        if (key == "tokenizer.ggml.pre") vocab.pre = value;
      } else {
        SetNumber(key, TakeNumber(type), &vocab);
      }
    }
    return vocab;
  }

  static void SetNumber(const std::string& key, int64_t value, GgufVocab* vocab) {
    const auto id = static_cast<TokenId>(value);
    if (key == "tokenizer.ggml.bos_token_id") vocab->bos_id = id;
    if (key == "tokenizer.ggml.eos_token_id") vocab->eos_id = id;
    if (key == "tokenizer.ggml.unknown_token_id") vocab->unk_id = id;
    if (key == "tokenizer.ggml.seperator_token_id") vocab->sep_id = id;
    if (key == "tokenizer.ggml.padding_token_id") vocab->pad_id = id;
    if (key == "tokenizer.ggml.cls_token_id") vocab->cls_id = id;
    if (key == "tokenizer.ggml.add_bos_token") vocab->add_bos = value != 0;
    if (key == "tokenizer.ggml.add_eos_token") vocab->add_eos = value != 0;
    if (key == "tokenizer.ggml.add_space_prefix") vocab->add_space_prefix = value != 0;
    if (key == "tokenizer.ggml.remove_extra_whitespaces") vocab->remove_extra_whitespaces = value != 0;
  }

  const std::string bytes_;
  size_t at_ = 0;
};

}  // namespace millrace::testing
