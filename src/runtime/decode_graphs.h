// DecodeGraphs: decode steps of a device, recorded once per shape and replayed (CUDA graphs). A step is about ten
// launches a layer, each of which costs the host microseconds; a replay costs one. Steps are padded to few shapes, so
// that few are recorded.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "core/batch.h"
#include "tensor/device_memory.h"

namespace millrace {

struct DecodeShape {
  int rows = 0;   // PaddedRows of the step's; a row that is made up has one token, no context and no block
  int slots = 0;  // that the longest row may span: 256 times a power of two, or what max_model_len needs

  friend auto operator<=>(const DecodeShape&, const DecodeShape&) = default;
  // Ids of a KV group's tables at most: the rows', and one for the rows that are made up.
  int64_t NumBlockIds() const { return int64_t{rows} * (slots / kKvBlockTokens) + 1; }
};

// 1, 2, 4, then every 8 up to 128, then every 64.
int PaddedRows(int num_rows);

// The shape of a step in which every row brings one token and wants one drawn; nullopt for other steps. Draws with a
// mask count as other.
std::optional<DecodeShape> DecodeShapeOf(const Batch& batch, int max_model_len);

class DecodeGraphs {
 public:
  static constexpr int kMaxRecordings =
      64;  // each takes the device a few MiB; shapes beyond are launched piece by piece

  explicit DecodeGraphs(const DeviceMemory& memory) : memory_(memory) {}
  ~DecodeGraphs();
  DecodeGraphs(const DecodeGraphs&) = delete;
  DecodeGraphs& operator=(const DecodeGraphs&) = delete;

  // Gives the stream the work of a step of this shape. `launch` gives it piece by piece, with the same addresses, sizes
  // and arguments whenever it is called for a shape: the first step does that, so that every kernel is loaded, the
  // second is recorded, and later ones are replayed.
  void Run(const DecodeShape& shape, void* stream, const std::function<void()>& launch);
  int64_t num_replays() const { return num_replays_; }

 private:
  bool Record(void* stream, const std::function<void()>& launch, void** recording);

  const DeviceMemory& memory_;
  std::map<DecodeShape, void*> recordings_;  // null: seen once
  int num_recordings_ = 0;
  int64_t num_replays_ = 0;
  bool refused_ = false;  // the device could not record, and is not asked again
};

}  // namespace millrace
