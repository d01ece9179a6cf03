// The tokens of a vocabulary: how each is spelled, what it adds to decoded text, its kind; and maps from bytes to ids.
// Immutable once built.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace millrace {

inline constexpr size_t kMaxVocabTokens = 4 << 20;
inline constexpr size_t kMaxTokenFileBytes = 256 << 20;

// Strings in one allocation, by index. At most 4 GiB in all, which the bound on files implies.
class StringPool {
 public:
  StringPool() : offsets_{0} {}
  void Add(std::string_view text) {
    bytes_.append(text);
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  size_t size() const { return offsets_.size() - 1; }
  std::string_view operator[](size_t i) const {
    return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }

 private:
  std::string bytes_;
  std::vector<uint32_t> offsets_;
};

// A hash map from byte strings to ids. Keys live in the map's own pool.
class TokenMap {
 public:
  // The first of two equal keys wins; false when the key was there.
  bool Insert(std::string_view key, TokenId id);
  std::optional<TokenId> Find(std::string_view key) const;
  void Reserve(size_t keys);
  size_t size() const { return keys_.size(); }
  std::string_view key(size_t i) const { return keys_[i]; }
  TokenId id(size_t i) const { return ids_[i]; }
  size_t max_key_bytes() const { return max_key_bytes_; }

 private:
  static constexpr uint32_t kEmpty = 0xFFFFFFFF;
  struct Slot {
    uint32_t index = kEmpty;  // into keys_ and ids_
    uint32_t tag = 0;         // upper half of the hash
  };
  void Rehash(size_t slots);
  size_t FindSlot(std::string_view key, uint64_t hash) const;

  StringPool keys_;
  std::vector<TokenId> ids_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t max_key_bytes_ = 0;
};

struct VocabEntry {
  std::string text;   // as the vocabulary spells it
  std::string bytes;  // what it adds to decoded text
  TokenKind kind = TokenKind::kNormal;
};

struct Vocab {
  explicit Vocab(const std::vector<VocabEntry>& entries);
  size_t size() const { return kinds.size(); }

  StringPool texts;
  StringPool bytes;
  std::vector<TokenKind> kinds;
  TokenMap by_text;
};

// GPT-2's printable alphabet: each byte is one character (space is U+0120 "Ġ").
class ByteAlphabet {
 public:
  // The bytes that a token of this alphabet stands for; nullopt when a character is not of the alphabet.
  static std::optional<std::string> ToBytes(std::string_view text);
  static std::string FromBytes(std::string_view bytes);
};

// The byte of "<0x0A>"; nullopt for any other text.
std::optional<uint8_t> ParseByteToken(std::string_view text);
std::string ByteTokenText(uint8_t byte);

}  // namespace millrace
