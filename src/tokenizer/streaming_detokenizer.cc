#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace millrace {

std::string_view Tokenizer::DecodedBytes(TokenId id, bool, bool skip_special) const {
  if (id < 0 || id >= vocab_size()) return {};
  const TokenKind kind = Kind(id);
  if (kind == TokenKind::kControl || kind == TokenKind::kUnknown)
    return skip_special ? std::string_view() : TokenText(id);
  return TokenBytes(id);
}

std::string StreamingDetokenizer::Push(TokenId id) {
  if (id < 0 || id >= tokenizer_.vocab_size()) return {};
  const TokenKind kind = tokenizer_.Kind(id);
  if (skip_special_ && (kind == TokenKind::kControl || kind == TokenKind::kUnknown)) return {};
  pending_.append(tokenizer_.DecodedBytes(id, first_, skip_special_));
  first_ = false;
  const size_t certain = pending_.size() - IncompleteUtf8Tail(pending_);
  std::string text;
  AppendReplacingInvalid(std::string_view(pending_).substr(0, certain), tokenizer_.replaces_each_invalid_byte(), &text);
  pending_.erase(0, certain);
  return text;
}

std::string StreamingDetokenizer::Finish() {
  std::string text;
  AppendReplacingInvalid(pending_, tokenizer_.replaces_each_invalid_byte(), &text);
  pending_.clear();
  return text;
}

}  // namespace millrace
