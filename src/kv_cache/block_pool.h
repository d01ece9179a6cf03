// BlockPool: the only source of KV blocks; BlockRef: a counted hold on one. Ids only: the memory behind an id belongs
// to the runner.
//
// A released block may be handed out again at once, also while a submitted step still reads or writes it: runners
// execute steps in the order of submission, and the copies of a step before its writes, so the new owner's first write
// comes after the old one's last.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"

namespace millrace {

class BlockPool;

// Holds one reference; the block goes back to its pool with the last one. Must not outlive the pool.
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(const BlockRef& other);
  BlockRef(BlockRef&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), id_(std::exchange(other.id_, kNullBlock)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(id_, other.id_);
    return *this;
  }
  ~BlockRef();

  BlockId id() const { return id_; }  // kNullBlock when empty
  explicit operator bool() const { return pool_ != nullptr; }
  bool shared() const;  // others refer to the block too

 private:
  friend class BlockPool;
  BlockRef(BlockPool* pool, BlockId id) : pool_(pool), id_(id) {}

  BlockPool* pool_ = nullptr;
  BlockId id_ = kNullBlock;
};

// Invariants:
// 1. A block is free (no reference), cached (its only reference is the prefix cache's) or in use.
// 2. num_free + num_cached + num_in_use == num_total after every call.
// 3. A block is on the free list exactly when it has no reference.
// One thread.
class BlockPool {
 public:
  explicit BlockPool(int num_blocks);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // An unshared block, or an empty reference when none is free.
  BlockRef Allocate();

  int num_total() const { return static_cast<int>(blocks_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int num_cached() const { return num_cached_; }
  int num_in_use() const { return num_total() - num_free() - num_cached_; }
  int ref_count(BlockId id) const { return blocks_[id].refs; }

  // For the prefix cache, which marks the blocks that it holds.
  void SetCached(BlockId id, bool cached);
  bool is_idle(BlockId id) const { return blocks_[id].cached && blocks_[id].refs == 1; }
  // Blocks whose last reference outside the cache went away since the last call; some may be in use again or free.
  std::vector<BlockId> TakeIdle();

  // Counts everything anew; empty when the invariants hold, otherwise what is wrong.
  std::string DescribeError() const;

 private:
  friend class BlockRef;
  struct Block {
    int32_t refs = 0;
    bool cached = false;
    bool idle_listed = false;
  };
  void Ref(BlockId id);
  void Unref(BlockId id);

  std::vector<Block> blocks_;
  std::vector<BlockId> free_;  // the last one is handed out first
  std::vector<BlockId> idle_;  // at most num_total
  int num_cached_ = 0;         // blocks in the cached state
};

inline BlockRef::BlockRef(const BlockRef& other) : pool_(other.pool_), id_(other.id_) {
  if (pool_ != nullptr) pool_->Ref(id_);
}
inline bool BlockRef::shared() const {
  return pool_ != nullptr && pool_->ref_count(id_) > 1;
}
inline BlockRef::~BlockRef() {
  if (pool_ != nullptr) pool_->Unref(id_);
}

}  // namespace millrace
