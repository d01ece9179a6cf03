#include "tokenizer/wordpiece.h"

#include <algorithm>

namespace millrace {
namespace {

bool IsCharStart(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

}  // namespace

void WordPieceModel::EncodeWord(std::string_view word, std::vector<TokenId>* ids) const {
  const size_t before = ids->size();
  const auto num_chars = static_cast<size_t>(std::count_if(word.begin(), word.end(), IsCharStart));
  bool whole = num_chars <= options_.max_chars_per_word;
  for (size_t begin = 0; whole && begin < word.size();) {
    const TokenMap& tokens = begin == 0 ? first_ : rest_;
    std::optional<TokenId> id;
    size_t end = std::min(word.size(), begin + tokens.max_key_bytes());
    for (; end > begin; --end) {
      if (end < word.size() && !IsCharStart(word[end])) continue;
      id = tokens.Find(word.substr(begin, end - begin));
      if (id) break;
    }
    whole = id.has_value();
    if (whole) ids->push_back(*id);
    begin = end;
  }
  if (whole) return;
  ids->resize(before);
  ids->push_back(options_.unk_id);
}

}  // namespace millrace
