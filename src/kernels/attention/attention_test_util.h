// A paged KV cache with random sequences for tests and benchmarks of attention. Everything that a sequence has not
// written is NaN.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "base/half.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/kv_layout.h"

namespace millrace::kernels {

struct TestShape {
  DType dtype = DType::kBF16;
  int num_heads = 4;
  int num_kv_heads = 2;
  int head_dim = 64;
  int window = 0;
  float softcap = 0.0f;
  bool sinks = false;
  bool gate = false;
};

// Keys, values and queries of one sequence in f32: slot s has k and v [kv_heads * head_dim], q [heads * head_dim].
struct TestSequence {
  int num_slots = 0;
  std::vector<float> k, v, q;

  TestSequence(const TestShape& shape, int slots, uint64_t seed) : num_slots(slots) {
    std::mt19937_64 rng(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int width) {
      x.resize(static_cast<size_t>(slots) * width);
      // Values of bf16, so that rounding a query loses nothing.
      for (float& value : x) value = Bf16ToF32(F32ToBf16(normal(rng)));
    };
    fill(k, shape.num_kv_heads * shape.head_dim);
    fill(v, shape.num_kv_heads * shape.head_dim);
    fill(q, shape.num_heads * shape.head_dim);
  }
};

// Stores one head of one token, value by value.
inline void StoreToken(const KvCacheView& kv, const KvLayout& layout, int block, int head, int lane, const float* k,
                       const float* v) {
  std::byte* part = KvHeadPart(kv, layout, block, head);
  const auto store = [&](const float* x, bool is_k) {
    float amax = 0;
    for (int d = 0; d < kv.head_dim; ++d) amax = std::max(amax, std::fabs(x[d]));
    for (int d = 0; d < kv.head_dim; ++d) {
      std::byte* at = part + (is_k ? layout.KOffset(lane, d) : layout.VOffset(lane, d));
      const uint16_t half = kv.dtype == DType::kBF16 ? F32ToBf16(x[d]) : F32ToF16(x[d]);
      switch (kv.dtype) {
        case DType::kF32:
          std::memcpy(at, &x[d], 4);
          break;
        case DType::kI8:
          *at =
              static_cast<std::byte>(static_cast<int>(std::nearbyintf(amax > 0 ? x[d] * (127.0f / amax) : 0.0f)) + 128);
          break;
        case DType::kF8E4M3:
          *at = static_cast<std::byte>(F32ToF8E4M3(amax > 0 ? x[d] * (448.0f / amax) : 0.0f));
          break;
        default:
          std::memcpy(at, &half, 2);
      }
    }
    // As rope_kv_write: a head with a NaN has a NaN for its scale.
    const bool finite = std::all_of(x, x + kv.head_dim, [](float value) { return std::isfinite(value); });
    const float scale = finite ? amax / (kv.dtype == DType::kI8 ? 127.0f : 448.0f) : NAN;
    if (layout.k_scales > 0) std::memcpy(part + (is_k ? layout.k_scales : layout.v_scales) + lane * 4, &scale, 4);
  };
  store(k, true);
  store(v, false);
}

// One step over some sequences: row i brings slots [begin, end) of its sequence as new tokens.
struct TestRow {
  const TestSequence* sequence;
  int begin;
  int end;
  std::vector<int> parent = {};  // of a tree
};

class TestStep {
 public:
  TestStep(const TestShape& shape, const std::vector<TestRow>& rows, uint64_t seed = 1) : shape_(shape) {
    layout_ = KvLayout::Make(shape.dtype, shape.head_dim);
    int num_blocks = 3;
    for (const TestRow& row : rows) num_blocks += (row.end + kKvBlockSlots - 1) / kKvBlockSlots;
    const int64_t layer_bytes = KvLayerBytesCpu(shape.dtype, shape.num_kv_heads, shape.head_dim);
    pool_ = *Buffer::Allocate(num_blocks * 3 * layer_bytes);
    std::memset(pool_.data(), 0xff, static_cast<size_t>(pool_.size()));
    kv_ = {.blocks = pool_.data(),
           .block_bytes = 3 * layer_bytes,
           .layer_offset = layer_bytes,
           .dtype = shape.dtype,
           .num_kv_heads = shape.num_kv_heads,
           .head_dim = shape.head_dim};
    std::vector<int32_t> free_blocks(num_blocks);
    std::iota(free_blocks.begin(), free_blocks.end(), 0);
    std::mt19937_64 rng(seed);
    std::shuffle(free_blocks.begin(), free_blocks.end(), rng);
    query_start_ = table_start_ = {0};
    bool tree = false;
    for (const TestRow& row : rows) {
      AddRow(row, free_blocks);
      tree = tree || !row.parent.empty();
    }
    for (int h = 0; h < shape.num_heads; ++h) sinks_.push_back(0.5f * static_cast<float>(h % 5) - 1.0f);
    batch_ = {.num_rows = static_cast<int>(rows.size()),
              .num_tokens = query_start_.back(),
              .query_start = query_start_.data(),
              .context_len = context_len_.data(),
              .positions = positions_.data(),
              .parent = tree ? parent_.data() : nullptr,
              .table_start = table_start_.data(),
              .block_ids = block_ids_.data()};
    // One float more than the heads take, to catch kernels that ignore strides.
    stride_ = shape.num_heads * shape.head_dim + 1;
    out_.assign(static_cast<size_t>(batch_.num_tokens) * stride_, -7.0f);
    q_.resize(out_.size());
    size_t token = 0;
    for (const TestRow& row : rows) {
      for (int slot = row.begin; slot < row.end; ++slot, ++token) {
        std::copy_n(row.sequence->q.data() + static_cast<size_t>(slot) * (stride_ - 1), stride_ - 1,
                    q_.data() + token * stride_);
      }
    }
  }

  AttentionArgs Args() {
    return {.q = q_.data(),
            .q_stride = stride_,
            .num_heads = shape_.num_heads,
            .scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)),
            .window = shape_.window,
            .softcap = shape_.softcap,
            .sinks = shape_.sinks ? sinks_.data() : nullptr,
            .kv = kv_,
            .batch = &batch_,
            // Any numbers of the right shape do as gates.
            .out_gate = shape_.gate ? q_.data() : nullptr,
            .out_gate_stride = stride_,
            .out = out_.data(),
            .out_stride = stride_};
  }

  // Output of one token of the step, [heads * head_dim].
  std::vector<float> Out(int token) const {
    const auto begin = out_.begin() + static_cast<int64_t>(token) * stride_;
    return {begin, begin + stride_ - 1};
  }
  int num_tokens() const { return batch_.num_tokens; }
  const KvCacheView& kv() const { return kv_; }
  const KvLayout& layout() const { return layout_; }

 private:
  // Blocks wholly before the window of the row's first token are freed.
  void AddRow(const TestRow& row, std::vector<int32_t>& free_blocks) {
    const int first_block = shape_.window > 0 ? std::max(0, row.begin - shape_.window + 1) / kKvBlockSlots : 0;
    const int32_t table = static_cast<int32_t>(block_ids_.size());
    for (int block = 0; block * kKvBlockSlots < row.end; ++block) {
      block_ids_.push_back(block < first_block ? -1 : free_blocks.back());
      if (block >= first_block) free_blocks.pop_back();
    }
    const int width = shape_.num_kv_heads * shape_.head_dim;
    for (int slot = first_block * kKvBlockSlots; slot < row.end; ++slot) {
      for (int head = 0; head < shape_.num_kv_heads; ++head) {
        const size_t at = static_cast<size_t>(slot) * width + head * shape_.head_dim;
        StoreToken(kv_, layout_, block_ids_[table + slot / kKvBlockSlots], head, slot % kKvBlockSlots,
                   row.sequence->k.data() + at, row.sequence->v.data() + at);
      }
    }
    for (int j = 0; j < row.end - row.begin; ++j) {
      parent_.push_back(row.parent.empty() ? j - 1 : row.parent[j]);
      positions_.push_back(parent_.back() < 0 ? row.begin : positions_[query_start_.back() + parent_.back()] + 1);
    }
    context_len_.push_back(row.begin);
    query_start_.push_back(query_start_.back() + row.end - row.begin);
    table_start_.push_back(static_cast<int32_t>(block_ids_.size()));
  }

  TestShape shape_;
  KvLayout layout_;
  Buffer pool_;
  KvCacheView kv_;
  std::vector<int32_t> query_start_, context_len_, positions_, parent_, table_start_, block_ids_;
  AttentionBatch batch_;
  std::vector<float> sinks_, q_, out_;
  int64_t stride_ = 0;
};

}  // namespace millrace::kernels
