#include "model_loader/weight_table.h"

#include "base/check.h"

namespace millrace {

Status WeightTable::Add(WeightTensor tensor, bool listed) {
  return AddGathered(std::move(tensor), {}, listed);
}

Status WeightTable::AddGathered(WeightTensor tensor, ByteRanges sources, bool listed) {
  if (entries_.size() >= kMaxWeights) return OutOfRange("the file has more than {} tensors", kMaxWeights);
  if (by_name_.contains(tensor.name)) return DataLoss("tensor {} appears twice", tensor.name);
  CHECK((tensor.data != nullptr) != static_cast<bool>(tensor.gather), "{} needs either data or gather", tensor.name);
  entries_.push_back({std::move(tensor), std::move(sources), listed});
  by_name_.emplace(entries_.back().tensor.name, &entries_.back());
  return OkStatus();
}

Status WeightTable::AddRows(const WeightTensor& base, int64_t first, int64_t count, std::string name, bool listed) {
  CHECK(first >= 0 && count > 0 && first + count <= base.rows, "rows {} + {} of {}", first, count, base.rows);
  WeightTensor view;
  view.name = std::move(name);
  view.dtype = base.dtype;
  view.rows = count;
  view.cols = base.cols;
  if (base.data != nullptr) {
    view.data = base.data + first * base.row_bytes();
    return Add(std::move(view), listed);
  }
  view.gather = [gather = base.gather, first](int64_t row, int64_t n, std::byte* dst) { gather(first + row, n, dst); };
  return AddGathered(std::move(view), Sources(base), listed);
}

const WeightTensor* WeightTable::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &it->second->tensor;
}

std::vector<const WeightTensor*> WeightTable::Listed() const {
  std::vector<const WeightTensor*> out;
  for (const Entry& entry : entries_) {
    if (entry.listed) out.push_back(&entry.tensor);
  }
  return out;
}

ByteRanges WeightTable::Sources(const WeightTensor& tensor) const {
  if (tensor.data != nullptr) return {{tensor.data, static_cast<size_t>(tensor.bytes())}};
  const auto it = by_name_.find(tensor.name);
  return it == by_name_.end() ? ByteRanges() : it->second->sources;
}

}  // namespace millrace
