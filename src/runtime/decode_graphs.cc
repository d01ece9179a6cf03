#include "runtime/decode_graphs.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

constexpr int kFirstSlots = 256;

int RoundUp(int value, int unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

int PaddedRows(int num_rows) {
  if (num_rows <= 2) return num_rows;
  if (num_rows <= 4) return 4;
  return RoundUp(num_rows, num_rows <= 128 ? 8 : 64);
}

std::optional<DecodeShape> DecodeShapeOf(const Batch& batch, int max_model_len) {
  const int rows = batch.num_rows();
  const auto count = static_cast<size_t>(rows);
  if (rows == 0 || batch.num_tokens() != rows || batch.outputs.size() != count || !batch.parent.empty() ||
      batch.num_grammar_masks > 0) {
    return std::nullopt;
  }
  int longest = 0;
  for (size_t r = 0; r < count; ++r) {
    const OutputRow& output = batch.outputs[r];
    const int row = static_cast<int>(r);
    if (batch.query_start[r] != row || output.row != row || output.token_index != row || !output.sample ||
        output.pooling != Pooling::kNone) {
      return std::nullopt;
    }
    longest = std::max(longest, batch.context_len[r] + 1);
    for (const GroupTables& tables : batch.groups) {
      if (tables.row_start.size() != count + 1) return std::nullopt;
      longest = std::max(longest, (tables.row_start[r + 1] - tables.row_start[r]) * kKvBlockTokens);
    }
  }
  int64_t slots = kFirstSlots;
  while (slots < longest) slots *= 2;
  slots = std::min<int64_t>(slots, RoundUp(max_model_len, kKvBlockTokens));
  if (slots < longest) return std::nullopt;
  return DecodeShape{PaddedRows(rows), static_cast<int>(slots)};
}

DecodeGraphs::~DecodeGraphs() {
  for (const auto& [shape, recording] : recordings_) {
    if (recording != nullptr) memory_.release_recording(recording);
  }
}

bool DecodeGraphs::Record(void* stream, const std::function<void()>& launch, void** recording) {
  if (!memory_.begin_recording(stream)) return false;
  launch();
  *recording = memory_.end_recording(stream);
  return *recording != nullptr;
}

void DecodeGraphs::Run(const DecodeShape& shape, void* stream, const std::function<void()>& launch) {
  const auto [entry, first] = recordings_.try_emplace(shape, nullptr);
  void*& recording = entry->second;
  if (recording == nullptr && (first || refused_ || num_recordings_ == kMaxRecordings)) return launch();
  if (recording == nullptr) {
    refused_ = !Record(stream, launch, &recording);
    if (refused_) return launch();
    ++num_recordings_;
  }
  memory_.replay(stream, recording);
  ++num_replays_;
}

}  // namespace millrace
