// WeightTable: the named tensors of an opened checkpoint, and views of row ranges of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model_loader/checkpoint.h"

namespace millrace {

// Views included; a stack of experts counts one by one.
inline constexpr size_t kMaxWeights = 1 << 17;

// Where the bytes of a tensor are in the mapped files, for Release.
using ByteRanges = std::vector<std::span<const std::byte>>;

// Invariants: names are unique; pointers to tensors stay valid for the table's life.
class WeightTable {
 public:
  WeightTable() = default;
  WeightTable(WeightTable&&) = default;
  WeightTable& operator=(WeightTable&&) = default;

  // A tensor whose rows lie at tensor.data; `listed` says whether tensors() shows it.
  Status Add(WeightTensor tensor, bool listed = true);
  // A tensor with `gather`, made from the given bytes.
  Status AddGathered(WeightTensor tensor, ByteRanges sources, bool listed = true);
  // Rows [first, first + count) of `base` under another name. `listed` as in Add.
  Status AddRows(const WeightTensor& base, int64_t first, int64_t count, std::string name, bool listed = false);

  const WeightTensor* Find(std::string_view name) const;
  std::vector<const WeightTensor*> Listed() const;
  // The mapped bytes that a tensor of this table is read from.
  ByteRanges Sources(const WeightTensor& tensor) const;

 private:
  struct Entry {
    WeightTensor tensor;
    ByteRanges sources;  // empty when data is set
    bool listed;
  };
  std::deque<Entry> entries_;
  std::unordered_map<std::string_view, const Entry*> by_name_;
};

}  // namespace millrace
