// An estimate of how many bytes the shortest way to an end takes, for finishing a text quickly: following the byte with
// the least estimate comes to an end. Only testing and sampling need it; masks don't.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "grammar/machine.h"

namespace millrace::grammar {

class CompletionCost {
 public:
  // program must outlive this.
  explicit CompletionCost(const Program& program);
  // 0 where the text may end; kImpossible for an empty set.
  uint64_t Of(const ConfigSet& set, const Machine& machine) const;

  static constexpr uint64_t kImpossible = uint64_t{1} << 50;

 private:
  uint64_t EdgeCost(const Edge& edge) const;
  // Bytes to the end of a lexeme of the terminal, given those from each state of its automaton.
  uint64_t WordCost(const std::vector<uint32_t>& distance, uint32_t terminal, const LexState& lex) const;
  // Per state of the automaton of an object's keys: bytes to a key whose value can meet the claim.
  const std::vector<uint32_t>& ClaimCost(uint32_t spec, uint32_t claim) const;
  uint64_t LexCost(const Config& config, const Machine& machine) const;
  uint64_t KeyCost(const Config& config, const Machine& machine) const;
  // What must still be added to a frame.
  uint64_t Missing(const Payload& payload) const;
  uint64_t MissingMembers(const ObjectSpec& spec, const Payload& payload) const;
  uint64_t MissingItems(const ArraySpec& spec, const Payload& payload) const;
  uint64_t StackCost(uint32_t node, const Machine& machine, std::map<uint32_t, uint64_t>& known) const;
  uint64_t RuleCost(uint32_t rule) const { return rule == kNoRule ? kImpossible : rule_cost_[rule]; }

  const Program& program_;
  std::vector<std::vector<uint32_t>> to_accept_;  // [terminal][automaton state]: bytes to an accepting state
  mutable std::map<std::pair<uint32_t, uint32_t>, std::vector<uint32_t>> claim_cost_;  // (object, claim) -> ClaimCost
  std::vector<uint64_t> rule_cost_;
  std::vector<uint64_t> add_cost_;    // to the place in a frame where the next member or item begins
  std::vector<uint64_t> state_cost_;  // to the end of the rule or frame, without what the frame still misses
};

}  // namespace millrace::grammar
