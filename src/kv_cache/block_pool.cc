#include "kv_cache/block_pool.h"

#include "base/check.h"

namespace millrace {

BlockPool::BlockPool(int num_blocks) : blocks_(num_blocks) {
  free_.reserve(num_blocks);
  for (BlockId id = num_blocks - 1; id >= 0; --id) free_.push_back(id);
}

BlockPool::~BlockPool() {
  CHECK(num_free() == num_total(), "{} blocks outlive their pool", num_total() - num_free());
}

BlockRef BlockPool::Allocate() {
  if (free_.empty()) return {};
  const BlockId id = free_.back();
  free_.pop_back();
  CHECK_EQ(blocks_[id].refs, 0);
  blocks_[id].refs = 1;
  return BlockRef(this, id);
}

void BlockPool::Ref(BlockId id) {
  Block& block = blocks_[id];
  CHECK_GT(block.refs, 0);
  if (block.cached && block.refs == 1) --num_cached_;
  ++block.refs;
}

void BlockPool::Unref(BlockId id) {
  Block& block = blocks_[id];
  CHECK_GT(block.refs, 0);
  if (--block.refs == 0) {
    CHECK(!block.cached, "block {} left the cache without its mark being taken off", id);
    free_.push_back(id);
  } else if (block.refs == 1 && block.cached) {
    ++num_cached_;
    if (!block.idle_listed) {
      block.idle_listed = true;
      idle_.push_back(id);
    }
  }
}

void BlockPool::SetCached(BlockId id, bool cached) {
  Block& block = blocks_[id];
  CHECK_GT(block.refs, 0);
  CHECK_NE(block.cached, cached);
  block.cached = cached;
  if (block.refs == 1) num_cached_ += cached ? 1 : -1;
}

std::vector<BlockId> BlockPool::TakeIdle() {
  for (BlockId id : idle_) blocks_[id].idle_listed = false;
  return std::exchange(idle_, {});
}

std::string BlockPool::DescribeError() const {
  std::vector<bool> listed(blocks_.size(), false);
  for (BlockId id : free_) {
    if (listed[id]) return fmt::format("block {} is on the free list twice", id);
    listed[id] = true;
  }
  int cached = 0;
  for (BlockId id = 0; id < num_total(); ++id) {
    if (listed[id] != (blocks_[id].refs == 0)) return fmt::format("block {} has {} references", id, blocks_[id].refs);
    if (blocks_[id].cached && blocks_[id].refs == 0) return fmt::format("block {} is free and cached", id);
    cached += is_idle(id);
  }
  if (cached != num_cached_) return fmt::format("{} blocks are cached, {} were counted", cached, num_cached_);
  return "";
}

}  // namespace millrace
