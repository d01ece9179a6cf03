// Router: which instance of a fleet gets the next request. Knows what a load balancer knows: who has how much open, and
// where the beginnings of prompts went before.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"

namespace millrace::sim {

enum class Routing : uint8_t {
  kRoundRobin,
  kLeastLoad,    // fewest open prompt tokens, then the lowest number
  kPrefixAware,  // where the longest beginning of the prompt went before, unless that instance is overloaded; else the
                 // least loaded
};

// "round-robin", "least-load", "prefix-aware".
Result<Routing> ParseRouting(std::string_view name);

class Router {
 public:
  Router(Routing routing, int num_instances);

  // The instance for a prompt whose beginnings have these chain hashes, shortest first (empty: shares nothing).
  int Choose(std::span<const uint64_t> beginnings);
  // An instance's open prompt tokens changed.
  void SetLoad(int instance, int64_t open_tokens);

 private:
  bool Overloaded(int instance) const;

  const Routing routing_;
  int next_ = 0;
  std::vector<int64_t> load_;
  std::set<std::pair<int64_t, int>> by_load_;   // (load, instance)
  std::unordered_map<uint64_t, int> place_of_;  // beginning -> instance that last got it; at most kMaxPlaces
};

// Chain hashes of a trace request's prefix ids.
std::vector<uint64_t> Beginnings(std::span<const uint32_t> prefix_ids);

}  // namespace millrace::sim
