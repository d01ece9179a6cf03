#include "tokenizer/charsmap.h"

#include <cstring>

namespace millrace {
namespace {

// Fields of a Darts-clone unit.
bool HasLeaf(uint32_t unit) {
  return ((unit >> 8) & 1) == 1;
}
uint32_t Value(uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
uint32_t Label(uint32_t unit) {
  return unit & 0x800000FFu;
}
uint32_t Offset(uint32_t unit) {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

}  // namespace

Result<Charsmap> Charsmap::Parse(std::string_view blob) {
  Charsmap map;
  if (blob.empty()) return map;
  uint32_t trie_bytes = 0;
  if (blob.size() < sizeof(trie_bytes))
    return DataLoss("a character map has {} bytes, expected at least 4", blob.size());
  std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
  blob.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes % 4 != 0 || trie_bytes == 0 || trie_bytes > blob.size()) {
    return DataLoss("a character map says that its trie has {} bytes, but {} follow", trie_bytes, blob.size());
  }
  map.units_.resize(trie_bytes / 4);
  std::memcpy(map.units_.data(), blob.data(), trie_bytes);
  map.replacements_ = std::string(blob.substr(trie_bytes));
  return map;
}

std::optional<Charsmap::Match> Charsmap::Find(std::string_view text, bool longest) const {
  std::optional<Match> found;
  if (units_.empty()) return found;
  size_t at = Offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || Label(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (at >= units_.size()) break;
    const uint32_t value = Value(units_[at]);
    if (value >= replacements_.size()) break;
    const char* begin = replacements_.data() + value;
    found = Match{i + 1, std::string_view(begin, strnlen(begin, replacements_.size() - value))};
    if (!longest) break;
  }
  return found;
}

}  // namespace millrace
