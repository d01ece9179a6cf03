#include "tokenizer/vocab.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

#include "base/check.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

uint64_t Hash(std::string_view key) {
  return XXH3_64bits(key.data(), key.size());
}

struct AlphabetTables {
  std::array<uint16_t, 256> char_of;
  std::array<int16_t, 512> byte_of;

  AlphabetTables() {
    byte_of.fill(-1);
    uint16_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      char_of[static_cast<size_t>(b)] = printable ? static_cast<uint16_t>(b) : next++;
      byte_of[char_of[static_cast<size_t>(b)]] = static_cast<int16_t>(b);
    }
  }
};

const AlphabetTables& Alphabet() {
  static const AlphabetTables tables;
  return tables;
}

}  // namespace

size_t TokenMap::FindSlot(std::string_view key, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const uint32_t tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.index == kEmpty || (slot.tag == tag && keys_[slot.index] == key)) return at;
  }
}

void TokenMap::Rehash(size_t slots) {
  slots_.assign(slots, Slot{});
  for (size_t i = 0; i < keys_.size(); ++i) {
    const uint64_t hash = Hash(keys_[i]);
    slots_[FindSlot(keys_[i], hash)] = {static_cast<uint32_t>(i), static_cast<uint32_t>(hash >> 32)};
  }
}

void TokenMap::Reserve(size_t keys) {
  size_t slots = 16;
  while (slots < keys * 2) slots *= 2;
  if (slots > slots_.size()) Rehash(slots);
}

bool TokenMap::Insert(std::string_view key, TokenId id) {
  if ((keys_.size() + 1) * 2 > slots_.size()) Rehash(std::max<size_t>(16, slots_.size() * 2));
  const uint64_t hash = Hash(key);
  Slot& slot = slots_[FindSlot(key, hash)];
  if (slot.index != kEmpty) return false;
  slot = {static_cast<uint32_t>(keys_.size()), static_cast<uint32_t>(hash >> 32)};
  keys_.Add(key);
  ids_.push_back(id);
  max_key_bytes_ = std::max(max_key_bytes_, key.size());
  return true;
}

std::optional<TokenId> TokenMap::Find(std::string_view key) const {
  if (slots_.empty()) return std::nullopt;
  const Slot& slot = slots_[FindSlot(key, Hash(key))];
  if (slot.index == kEmpty) return std::nullopt;
  return ids_[slot.index];
}

Vocab::Vocab(const std::vector<VocabEntry>& entries) {
  CHECK_LE(entries.size(), kMaxVocabTokens);
  kinds.reserve(entries.size());
  by_text.Reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const VocabEntry& entry = entries[i];
    texts.Add(entry.text);
    bytes.Add(entry.bytes);
    kinds.push_back(entry.kind);
    if (!entry.text.empty()) by_text.Insert(entry.text, static_cast<TokenId>(i));
  }
}

std::optional<std::string> ByteAlphabet::ToBytes(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char* p = text.data(); p < text.data() + text.size();) {
    const Utf8Char c = DecodeUtf8(p, text.data() + text.size());
    if (c.code >= Alphabet().byte_of.size() || Alphabet().byte_of[c.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(Alphabet().byte_of[c.code]));
    p += c.size;
  }
  return bytes;
}

std::string ByteAlphabet::FromBytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) AppendUtf8(Alphabet().char_of[static_cast<unsigned char>(c)], &text);
  return text;
}

std::optional<uint8_t> ParseByteToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  uint32_t value = 0;
  for (const char c : text.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'A' && c <= 'F')) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit ? c - '0' : c - 'A' + 10);
  }
  return static_cast<uint8_t>(value);
}

std::string ByteTokenText(uint8_t byte) {
  return fmt::format("<0x{:02X}>", byte);
}

}  // namespace millrace
