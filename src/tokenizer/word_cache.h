// Ids of words that were encoded before. Direct-mapped, one cache line an entry, so that a hit costs one line and no
// chain; a clash overwrites. Only words of at most 15 bytes with at most 11 ids are kept: longer ones are rare and cost
// more to merge than to look up twice.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace millrace {

class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 15;
  static constexpr size_t kMaxIds = 11;

  // A word and its length in two registers; equal keys are equal words.
  struct Key {
    uint64_t low;
    uint64_t high;
  };

  struct alignas(64) Entry {
    Key key = {0, 0};  // {0, 0} is no word: the length is never 0
    uint32_t num_ids = 0;
    TokenId ids[kMaxIds];
  };

  WordCache() : entries_(kEntries) {}

  // word.size() is 1 to kMaxWordBytes.
  static Key KeyOf(std::string_view word) {
    const size_t n = word.size();
    const char* p = word.data();
    Key key = {0, 0};
    if (n >= 8) {
      std::memcpy(&key.low, p, 8);
      uint64_t tail;
      std::memcpy(&tail, p + n - 8, 8);
      key.high = n == 8 ? 0 : tail >> (8 * (16 - n));
    } else if (n >= 4) {
      uint32_t head, tail;
      std::memcpy(&head, p, 4);
      std::memcpy(&tail, p + n - 4, 4);
      key.low = n == 4 ? head : head | ((static_cast<uint64_t>(tail) >> (8 * (8 - n))) << 32);
    } else {
      key.low = static_cast<unsigned char>(p[0]) | (static_cast<uint64_t>(static_cast<unsigned char>(p[n / 2])) << 8) |
                (static_cast<uint64_t>(static_cast<unsigned char>(p[n - 1])) << 16);
    }
    key.high |= static_cast<uint64_t>(n) << 56;
    return key;
  }

  Entry& EntryOf(const Key& key) {
    const uint64_t mixed = (key.low ^ (key.high * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    return entries_[(mixed ^ (mixed >> 32)) & (kEntries - 1)];
  }

 private:
  // 2 MiB: holds the words of a long English text (a book has about 15,000 distinct ones).
  static constexpr size_t kEntries = 1 << 15;
  std::vector<Entry> entries_;
};

// Caches for the threads that encode at the same time; a call borrows one and gives it back. Keeps at most kMaxIdle.
class WordCachePool {
 public:
  std::unique_ptr<WordCache> Borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto cache = std::move(idle_.back());
        idle_.pop_back();
        return cache;
      }
    }
    return std::make_unique<WordCache>();
  }

  void Return(std::unique_ptr<WordCache> cache) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMaxIdle) idle_.push_back(std::move(cache));
  }

 private:
  static constexpr size_t kMaxIdle = 16;
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace millrace
