// Tokenizers for tests: a small one made of given strings plus all bytes, and vocabularies read from tiktoken files.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace millrace::grammar {

class FakeTokenizer : public Tokenizer {
 public:
  // Ids 0..255 are the bytes unless with_bytes is false; then the tokens; the last two are <|ctl|> and <|end|>, both
  // control.
  explicit FakeTokenizer(std::vector<std::string> tokens, bool with_bytes = true) {
    if (with_bytes) {
      for (int b = 0; b < 256; ++b) tokens_.push_back(std::string(1, static_cast<char>(b)));
    }
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    control_from_ = static_cast<TokenId>(tokens_.size());
    tokens_.push_back("<|ctl|>");
    tokens_.push_back("<|end|>");
    end_ = {static_cast<TokenId>(tokens_.size() - 1)};
  }

  // Byte by byte; enough for tests.
  std::vector<TokenId> Encode(std::string_view text, const EncodeOptions& = {}) const override {
    std::vector<TokenId> ids;
    for (char c : text) ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  std::string Decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (TokenId id : ids) text += TokenBytes(id);
    return text;
  }
  int vocab_size() const override { return static_cast<int>(tokens_.size()); }
  std::string_view TokenBytes(TokenId id) const override {
    return id >= control_from_ ? std::string_view() : tokens_[static_cast<size_t>(id)];
  }
  std::string_view TokenText(TokenId id) const override { return tokens_[static_cast<size_t>(id)]; }
  TokenKind Kind(TokenId id) const override { return id >= control_from_ ? TokenKind::kControl : TokenKind::kNormal; }
  std::optional<TokenId> FindToken(std::string_view text) const override {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i] == text) return static_cast<TokenId>(i);
    }
    return std::nullopt;
  }
  std::optional<TokenId> bos_id() const override { return std::nullopt; }
  std::optional<TokenId> eos_id() const override { return end_[0]; }
  std::span<const TokenId> end_ids() const override { return end_; }

 private:
  std::vector<std::string> tokens_;
  TokenId control_from_ = 0;
  std::vector<TokenId> end_;
};

inline std::string DecodeBase64(std::string_view in) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : in) {
    const int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                  : c >= 'a' && c <= 'z' ? c - 'a' + 26
                  : c >= '0' && c <= '9' ? c - '0' + 52
                  : c == '+'             ? 62
                  : c == '/'             ? 63
                                         : -1;
    if (v < 0) break;
    bits = (bits << 6) | static_cast<uint32_t>(v);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// The tokens of a file in tiktoken's format (which holds all bytes), or nullptr when it can't be read.
inline std::unique_ptr<FakeTokenizer> TiktokenVocabulary(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return nullptr;
  std::vector<std::string> tokens;
  std::string base64, rank;
  while (file >> base64 >> rank) tokens.push_back(DecodeBase64(base64));
  return std::make_unique<FakeTokenizer>(std::move(tokens), /*with_bytes=*/false);
}

}  // namespace millrace::grammar
