#include "sim/router.h"

#include "base/check.h"

namespace millrace::sim {
namespace {

constexpr size_t kMaxPlaces = 4'000'000;
// An instance with more than this many times the least load, and this many tokens more, gets no request for its cache's
// sake.
constexpr double kOverloadRatio = 1.5;
constexpr int64_t kOverloadTokens = 4096;

}  // namespace

Result<Routing> ParseRouting(std::string_view name) {
  if (name == "round-robin") return Routing::kRoundRobin;
  if (name == "least-load") return Routing::kLeastLoad;
  if (name == "prefix-aware") return Routing::kPrefixAware;
  return InvalidArgument("--routing is {}, expected round-robin, least-load or prefix-aware", name);
}

std::vector<uint64_t> Beginnings(std::span<const uint32_t> prefix_ids) {
  std::vector<uint64_t> hashes;
  uint64_t hash = 0;
  for (const uint32_t id : prefix_ids) {
    hash = (hash ^ (id + 0x9E3779B97F4A7C15 + (hash << 6) + (hash >> 2))) * 0xBF58476D1CE4E5B9;
    hashes.push_back(hash);
  }
  return hashes;
}

Router::Router(Routing routing, int num_instances) : routing_(routing), load_(static_cast<size_t>(num_instances), 0) {
  CHECK_GE(num_instances, 1);
  for (int i = 0; i < num_instances; ++i) by_load_.insert({0, i});
}

void Router::SetLoad(int instance, int64_t open_tokens) {
  int64_t& load = load_[static_cast<size_t>(instance)];
  if (load == open_tokens) return;
  by_load_.erase({load, instance});
  load = open_tokens;
  by_load_.insert({load, instance});
}

bool Router::Overloaded(int instance) const {
  const int64_t load = load_[static_cast<size_t>(instance)];
  const int64_t least = by_load_.begin()->first;
  return load > least + kOverloadTokens && static_cast<double>(load) > kOverloadRatio * static_cast<double>(least);
}

int Router::Choose(std::span<const uint64_t> beginnings) {
  if (routing_ == Routing::kRoundRobin) {
    const int chosen = next_;
    next_ = (next_ + 1) % static_cast<int>(load_.size());
    return chosen;
  }
  int chosen = by_load_.begin()->second;
  if (routing_ == Routing::kLeastLoad) return chosen;
  for (size_t i = beginnings.size(); i > 0; --i) {
    const auto place = place_of_.find(beginnings[i - 1]);
    if (place == place_of_.end()) continue;
    if (!Overloaded(place->second)) chosen = place->second;
    break;
  }
  if (place_of_.size() + beginnings.size() > kMaxPlaces) place_of_.clear();
  for (const uint64_t beginning : beginnings) place_of_[beginning] = chosen;
  return chosen;
}

}  // namespace millrace::sim
