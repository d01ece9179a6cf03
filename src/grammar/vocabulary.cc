#include "grammar/vocabulary.h"

#include <algorithm>

namespace millrace::grammar {
namespace {

bool IsText(TokenKind kind) {
  return kind == TokenKind::kNormal || kind == TokenKind::kUserDefined || kind == TokenKind::kByte;
}

}  // namespace

GrammarVocabulary::GrammarVocabulary(const Tokenizer& tokenizer, std::span<const TokenId> end_ids)
    : tokenizer_(tokenizer), vocab_size_(tokenizer.vocab_size()), shared_masks_(size_t{64} << 20) {
  const auto ends = end_ids.empty() ? tokenizer.end_ids() : end_ids;
  end_ids_.assign(ends.begin(), ends.end());
  std::vector<std::pair<std::string_view, TokenId>> entries;
  for (TokenId id = 0; id < vocab_size_; ++id) {
    const std::string_view bytes = BytesOf(id);
    if (bytes.empty()) continue;
    entries.emplace_back(bytes, id);
    max_token_bytes_ = std::max(max_token_bytes_, static_cast<uint32_t>(bytes.size()));
  }
  trie_ = TokenTrie(std::move(entries));
}

bool GrammarVocabulary::IsEnd(TokenId id) const {
  return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end();
}

std::string_view GrammarVocabulary::BytesOf(TokenId id) const {
  if (id < 0 || id >= vocab_size_ || !IsText(tokenizer_.Kind(id)) || IsEnd(id)) return {};
  return tokenizer_.TokenBytes(id);
}

std::optional<TokenId> GrammarVocabulary::FindControl(std::string_view text) const {
  const auto id = tokenizer_.FindToken(text);
  return id && tokenizer_.Kind(*id) == TokenKind::kControl ? id : std::nullopt;
}

}  // namespace millrace::grammar
