#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/kv_layout.h"

namespace millrace::kernels {
namespace {

struct CacheReader {
  const KvCacheView& kv;
  KvLayout layout;
  const int32_t* table;  // of the row
  int head;

  double Value(int slot, int64_t offset, int64_t scale_offset) const {
    const std::byte* part = KvHeadPart(kv, layout, table[slot / kKvBlockSlots], head);
    const std::byte* at = part + offset;
    uint16_t half = 0;
    float value = 0;
    switch (kv.dtype) {
      case DType::kF32:
        std::memcpy(&value, at, 4);
        return value;
      case DType::kF16:
        std::memcpy(&half, at, 2);
        return F16ToF32(half);
      case DType::kBF16:
        std::memcpy(&half, at, 2);
        return Bf16ToF32(half);
      case DType::kF8E4M3:
        std::memcpy(&value, part + scale_offset + (slot % kKvBlockSlots) * 4, 4);
        return F8E4M3ToF32(static_cast<uint8_t>(*at)) * static_cast<double>(value);
      default:
        std::memcpy(&value, part + scale_offset + (slot % kKvBlockSlots) * 4, 4);
        return (static_cast<int>(*at) - 128) * static_cast<double>(value);
    }
  }
  double K(int slot, int dim) const { return Value(slot, layout.KOffset(slot % kKvBlockSlots, dim), layout.k_scales); }
  double V(int slot, int dim) const { return Value(slot, layout.VOffset(slot % kKvBlockSlots, dim), layout.v_scales); }
};

// The slots that token j of a row sees, ascending.
std::vector<int> VisibleSlots(const AttentionArgs& args, int row, int j) {
  const AttentionBatch& batch = *args.batch;
  const int context = batch.context_len[row];
  const int first_token = batch.query_start[row];
  const bool tree = batch.parent != nullptr;
  std::vector<bool> visible(context + j + 1, !tree);
  if (tree) {
    std::fill(visible.begin(), visible.begin() + context, true);
    for (int i = j; i >= 0; i = batch.parent[first_token + i]) visible[context + i] = true;
  }
  const auto position = [&](int slot) {
    return tree && slot >= context ? batch.positions[first_token + slot - context] : slot;
  };
  std::vector<int> slots;
  for (int slot = 0; slot <= context + j; ++slot) {
    const bool in_window = args.window <= 0 || position(slot) > position(context + j) - args.window;
    if (visible[slot] && in_window) slots.push_back(slot);
  }
  return slots;
}

void AttendHead(const AttentionArgs& args, const CacheReader& cache, const std::vector<int>& slots, int token,
                int head) {
  const int head_dim = args.kv.head_dim;
  const float* q = args.q + token * args.q_stride + head * head_dim;
  std::vector<double> scores(slots.size());
  double max = args.sinks != nullptr ? args.sinks[head] : -INFINITY;
  for (size_t i = 0; i < slots.size(); ++i) {
    double dot = 0;
    for (int d = 0; d < head_dim; ++d) dot += q[d] * cache.K(slots[i], d);
    dot *= args.scale;
    scores[i] = args.softcap > 0 ? args.softcap * std::tanh(dot / args.softcap) : dot;
    max = std::max(max, scores[i]);
  }
  double sum = args.sinks != nullptr ? std::exp(args.sinks[head] - max) : 0;
  std::vector<double> out(head_dim, 0.0);
  for (size_t i = 0; i < slots.size(); ++i) {
    const double p = std::exp(scores[i] - max);
    sum += p;
    for (int d = 0; d < head_dim; ++d) out[d] += p * cache.V(slots[i], d);
  }
  for (int d = 0; d < head_dim; ++d) {
    const int64_t offset = static_cast<int64_t>(head) * head_dim + d;
    if (args.out_gate != nullptr) out[d] /= 1 + std::exp(-args.out_gate[token * args.out_gate_stride + offset]);
    args.out[token * args.out_stride + offset] = static_cast<float>(out[d] / sum);
  }
}

}  // namespace

void AttentionRef(const AttentionArgs& args) {
  const AttentionBatch& batch = *args.batch;
  const int heads_per_kv = args.num_heads / args.kv.num_kv_heads;
  for (int row = 0; row < batch.num_rows; ++row) {
    for (int token = batch.query_start[row]; token < batch.query_start[row + 1]; ++token) {
      const std::vector<int> slots = VisibleSlots(args, row, token - batch.query_start[row]);
      for (int head = 0; head < args.num_heads; ++head) {
        const CacheReader cache{args.kv, KvLayout::Make(args.kv.dtype, args.kv.head_dim),
                                batch.block_ids + batch.table_start[row], head / heads_per_kv};
        AttendHead(args, cache, slots, token, head);
      }
    }
  }
}

}  // namespace millrace::kernels
