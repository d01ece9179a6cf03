#include "grammar/completion_cost.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <queue>
#include <utility>

namespace millrace::grammar {
namespace {

// Each member or item that is still missing costs this much beyond its bytes, so that starting it always pays.
constexpr uint64_t kMissing = 4096;
constexpr uint64_t kDetour = 16;  // what an optional member or item costs beyond its bytes

uint64_t Sum(uint64_t a, uint64_t b) {
  return std::min(a + b, CompletionCost::kImpossible);
}

// Bytes of the shortest spelling of a character.
uint32_t SpellingOf(TextEncoding encoding, uint32_t c) {
  if (encoding == TextEncoding::kBytes) return 1;
  if (encoding == TextEncoding::kJsonString) {
    if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != 11)) return 2;
    if (c < 0x20) return 6;
  }
  return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

// Per class of characters: the shortest spelling of one of them.
std::vector<uint32_t> ShortestSpellings(const Terminal& terminal) {
  const Alphabet& alphabet = terminal.dfa->alphabet;
  std::vector<uint32_t> bytes(alphabet.num_classes, 6);
  for (size_t i = 0; i < alphabet.starts.size(); ++i) {
    const uint32_t last = i + 1 < alphabet.starts.size() ? alphabet.starts[i + 1] - 1 : kMaxCodePoint;
    uint32_t& least = bytes[alphabet.classes[i]];
    for (uint32_t c = alphabet.starts[i]; c <= last && c < 0x80; ++c)
      least = std::min(least, SpellingOf(terminal.encoding, c));
    if (last >= 0x80) least = std::min(least, SpellingOf(terminal.encoding, std::max(alphabet.starts[i], 0x80u)));
  }
  return bytes;
}

// Per state of the automaton: bytes to one of the accepting states given (Dijkstra's algorithm over small weights).
std::vector<uint32_t> BytesToAccept(const Terminal& terminal, const std::vector<uint8_t>& accepting) {
  const Dfa& dfa = *terminal.dfa;
  const uint32_t n = dfa.num_states(), k = dfa.alphabet.num_classes;
  const std::vector<uint32_t> spelling = ShortestSpellings(terminal);
  std::vector<uint32_t> distance(n, UINT32_MAX);
  std::vector<std::vector<std::pair<uint32_t, uint32_t>>> from(n);  // (state, bytes)
  std::priority_queue<std::pair<uint32_t, uint32_t>, std::vector<std::pair<uint32_t, uint32_t>>, std::greater<>> queue;
  for (uint32_t s = 0; s < n; ++s) {
    for (uint32_t c = 0; c < k; ++c) {
      if (dfa.next[s * k + c] != kNoState) from[dfa.next[s * k + c]].emplace_back(s, spelling[c]);
    }
    if (!accepting[s]) continue;
    distance[s] = 0;
    queue.emplace(0, s);
  }
  while (!queue.empty()) {
    const auto [bytes, t] = queue.top();
    queue.pop();
    if (bytes > distance[t]) continue;
    for (const auto& [s, step] : from[t]) {
      if (distance[s] <= bytes + step) continue;
      distance[s] = bytes + step;
      queue.emplace(distance[s], s);
    }
  }
  return distance;
}

}  // namespace

CompletionCost::CompletionCost(const Program& program) : program_(program) {
  for (const Terminal& terminal : program.terminals)
    to_accept_.push_back(BytesToAccept(terminal, terminal.dfa->accepting));
  rule_cost_.assign(program.rules.size(), kImpossible);
  state_cost_.assign(program.states.size(), kImpossible);
  add_cost_.assign(program.states.size(), kImpossible);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t s = program.states.size(); s-- > 0;) {
      const State& state = program.states[s];
      uint64_t best = state.accept ? 0 : kImpossible, add = kImpossible;
      for (uint32_t e = state.first_edge; e < state.first_edge + state.num_edges; ++e) {
        const Edge& edge = program.edges[e];
        const bool adds = edge.kind == EdgeKind::kKey || edge.kind == EdgeKind::kItem || edge.kind == EdgeKind::kBody;
        best = std::min(best, Sum(EdgeCost(edge), state_cost_[edge.next]));
        add = std::min(add, adds ? 0 : Sum(EdgeCost(edge), add_cost_[edge.next]));
      }
      changed |= best < state_cost_[s] || add < add_cost_[s];
      state_cost_[s] = best;
      add_cost_[s] = add;
    }
    for (size_t r = 0; r < program.rules.size(); ++r) rule_cost_[r] = state_cost_[program.rules[r]];
  }
}

uint64_t CompletionCost::EdgeCost(const Edge& edge) const {
  switch (edge.kind) {
    case EdgeKind::kTerminal: {
      const Terminal& terminal = program_.terminals[edge.arg];
      const uint64_t quotes = terminal.encoding == TextEncoding::kJsonString ? 2 : 0;
      return quotes + std::max(terminal.min_count, to_accept_[edge.arg][0]);
    }
    case EdgeKind::kCall:
      return RuleCost(edge.arg);
    case EdgeKind::kRepeat:
    case EdgeKind::kObject:
    case EdgeKind::kArray:
    case EdgeKind::kSet:
    case EdgeKind::kValueSet:
      return Sum(2, Missing(InitialPayload(program_, edge.kind, edge.arg)));
    case EdgeKind::kIfMayAdd:
      return kDetour;
    case EdgeKind::kToken:
    case EdgeKind::kKey:
    case EdgeKind::kMember:
    case EdgeKind::kItem:
    case EdgeKind::kBody:
      return 1;
    default:
      return 0;
  }
}

uint64_t CompletionCost::Missing(const Payload& payload) const {
  switch (payload.kind) {
    case Payload::kRepeat: {
      const RepeatSpec& spec = program_.repeats[payload.spec];
      if (payload.count >= spec.min) return 0;
      return std::min(kImpossible, (spec.min - payload.count) * Sum(RuleCost(spec.rule), kMissing));
    }
    case Payload::kObject:
      return MissingMembers(program_.objects[payload.spec], payload);
    case Payload::kArray:
      return MissingItems(program_.arrays[payload.spec], payload);
    default:
      return 0;
  }
}

uint64_t CompletionCost::MissingMembers(const ObjectSpec& spec, const Payload& payload) const {
  uint64_t cost = 0, cheapest = spec.key_terminal == kNoRule ? kImpossible : kMissing, required = 0;
  if (spec.key_terminal != kNoRule && !spec.is_set) {
    uint64_t value = kImpossible;
    for (uint32_t rule : spec.class_rules[0]) value = std::min(value, RuleCost(rule));
    cheapest = Sum(cheapest, value);
  }
  for (uint32_t n = 0; n < spec.name_rules[0].size(); ++n) {
    const bool seen = (payload.seen[n / 64] >> (n % 64)) & 1;
    const bool needed = (spec.required[n / 64] >> (n % 64)) & 1;
    if (seen || !((spec.allowed[n / 64] >> (n % 64)) & 1)) continue;
    const uint64_t member = Sum(RuleCost(spec.name_rules[0][n]), kMissing);
    cheapest = std::min(cheapest, member);
    if (!needed) continue;
    cost = Sum(cost, member);
    ++required;
  }
  if (payload.count + required < spec.min_members) {
    cost = Sum(cost, std::min(kImpossible, (spec.min_members - payload.count - required) * cheapest));
  }
  const uint32_t unmet = spec.num_claims - static_cast<uint32_t>(__builtin_popcount(payload.claims));
  return Sum(cost, unmet * kMissing);
}

uint64_t CompletionCost::MissingItems(const ArraySpec& spec, const Payload& payload) const {
  uint64_t cost = 0;
  for (uint32_t i = payload.count; i < spec.min_items && cost < kImpossible; ++i) {
    uint64_t item = kImpossible;
    for (uint32_t rule : spec.rows[std::min<size_t>(i, spec.rows.size() - 1)]) item = std::min(item, RuleCost(rule));
    cost = Sum(cost, Sum(item, kMissing));
  }
  for (size_t c = 0; c < spec.contains.size(); ++c) {
    if (payload.counters[c] < spec.contains[c].min)
      cost = Sum(cost, kMissing * (spec.contains[c].min - payload.counters[c]));
  }
  return cost;
}

const std::vector<uint32_t>& CompletionCost::ClaimCost(uint32_t spec, uint32_t claim) const {
  auto [it, inserted] = claim_cost_.try_emplace({spec, claim});
  if (!inserted) return it->second;
  const ObjectSpec& object = program_.objects[spec];
  const Terminal& terminal = program_.terminals[object.key_terminal];
  const std::vector<uint32_t>& rules = object.class_rules[size_t{1} << claim];
  std::vector<uint8_t> accepting = terminal.dfa->accepting;
  for (uint32_t s = 0; s < accepting.size(); ++s) {
    const size_t label = terminal.labels.empty() ? 0 : terminal.labels[s];
    accepting[s] &= label < rules.size() && rules[label] != kNoRule;
  }
  return it->second = BytesToAccept(terminal, accepting);
}

uint64_t CompletionCost::KeyCost(const Config& config, const Machine& machine) const {
  const ObjectSpec& spec = machine.ObjectOf(config);
  const Payload& payload = machine.PayloadOf(config);
  // A key that brings the frame closer to its end takes away one kMissing, which the caller counts with the frame.
  const bool any_helps = payload.count + spec.num_required - payload.required_seen < spec.min_members;
  auto unmet = [&](uint32_t claim) { return !((payload.claims >> claim) & 1); };
  uint64_t best = kImpossible;
  if (config.lex.q != kNoState) {
    best = (any_helps ? 0 : kMissing) + 2 * kDetour +
           WordCost(to_accept_[spec.key_terminal], spec.key_terminal, config.lex);
    for (uint32_t i = 0; i < spec.num_claims; ++i) {
      if (unmet(i))
        best = std::min(best, 2 * kDetour + WordCost(ClaimCost(payload.spec, i), spec.key_terminal, config.lex));
    }
  }
  if (config.lex.count == kNoState) return best;
  std::deque<std::pair<uint32_t, uint64_t>> queue = {{config.lex.count, 1 + BytesToFinish(config.lex.decoder)}};
  while (!queue.empty()) {
    const auto [node, depth] = queue.front();
    queue.pop_front();
    const NameTrie::Node& n = spec.names.nodes[node];
    if (!AnyNameAvailable(spec, payload, n.first, n.last)) continue;
    if (n.name != kNoRule && NameAvailable(spec, payload, n.name)) {
      bool needed = any_helps || ((spec.required[n.name / 64] >> (n.name % 64)) & 1);
      for (uint32_t i = 0; i < spec.num_claims; ++i)
        needed |= unmet(i) && spec.name_rules[size_t{1} << i][n.name] != kNoRule;
      const uint64_t value = needed || spec.is_set ? 0 : RuleCost(spec.name_rules[0][n.name]);
      best = std::min(best, Sum(depth + (needed ? 0 : kMissing), value));
    }
    for (uint32_t i = 0; i < n.num_children; ++i) queue.emplace_back(n.first_child + i, depth + 1);
  }
  return best;
}

uint64_t CompletionCost::WordCost(const std::vector<uint32_t>& distance, uint32_t terminal, const LexState& lex) const {
  auto cost_at = [&](uint32_t q) { return distance[q] == UINT32_MAX ? kImpossible : distance[q]; };
  const PartialRange partial = lex.decoder == 0 ? PartialRange() : RangeOf(lex.decoder);
  if (partial.count == 0) return cost_at(lex.q);
  const Dfa& dfa = *program_.terminals[terminal].dfa;
  const uint32_t* row = &dfa.next[size_t{lex.q} * dfa.alphabet.num_classes];
  uint64_t best = kImpossible;
  const bool after_backslash = partial.ranges[0] == CharRange{0, kMaxCodePoint};
  for (const uint32_t c : {0x22u, 0x5Cu, 0x2Fu, 8u, 9u, 10u, 12u, 13u}) {
    const uint32_t next = row[dfa.alphabet.ClassOf(c)];
    if (after_backslash && next != kNoState) best = std::min(best, cost_at(next) + 1);
  }
  for (int i = 0; i < partial.count; ++i) {
    const auto [first, last] = partial.ranges[i];
    for (size_t at = dfa.alphabet.IntervalOf(first); at < dfa.alphabet.starts.size() && dfa.alphabet.starts[at] <= last;
         ++at) {
      const uint32_t next = row[dfa.alphabet.classes[at]];
      if (next != kNoState) best = std::min(best, Sum(cost_at(next), after_backslash ? 5 : BytesToFinish(lex.decoder)));
    }
  }
  return best;
}

uint64_t CompletionCost::LexCost(const Config& config, const Machine& machine) const {
  const Edge& edge = machine.EdgeOf(config);
  if (edge.kind == EdgeKind::kKey) return KeyCost(config, machine);
  if (edge.kind == EdgeKind::kToken) return 1;
  const Terminal& terminal = program_.terminals[edge.arg];
  if (config.lex.decoder == kJsonDone) return 0;
  uint64_t cost = WordCost(to_accept_[edge.arg], edge.arg, config.lex);
  if (config.lex.count < terminal.min_count) cost = std::max<uint64_t>(cost, terminal.min_count - config.lex.count);
  if (terminal.encoding == TextEncoding::kJsonString) cost += config.lex.decoder == kJsonBeforeQuote ? 2 : 1;
  return cost;
}

uint64_t CompletionCost::StackCost(uint32_t node, const Machine& machine, std::map<uint32_t, uint64_t>& known) const {
  if (node == 0) return 0;
  auto [it, inserted] = known.try_emplace(node, kImpossible);
  if (!inserted) return it->second;
  uint64_t best = kImpossible;
  machine.ForEachReturn(node, [&](uint32_t state, const Payload& payload, uint32_t back) {
    const uint64_t missing = Missing(payload);
    const uint64_t frame = Sum(missing > 0 ? add_cost_[state] : state_cost_[state], missing);
    best = std::min(best, Sum(frame, StackCost(back, machine, known)));
  });
  return known[node] = best;
}

uint64_t CompletionCost::Of(const ConfigSet& set, const Machine& machine) const {
  if (set.ended) return 0;
  uint64_t best = kImpossible;
  std::map<uint32_t, uint64_t> known;
  for (const Config& config : set.configs) {
    uint64_t missing = Missing(machine.PayloadOf(config));
    if (machine.EdgeOf(config).kind == EdgeKind::kKey) missing -= std::min(missing, kMissing);
    const uint32_t next = machine.EdgeOf(config).next;
    const uint64_t inside = Sum(missing > 0 ? add_cost_[next] : state_cost_[next], missing);
    const uint64_t here = Sum(LexCost(config, machine), inside);
    best = std::min(best, Sum(Sum(here, StackCost(config.node, machine, known)), 1));
  }
  return best;
}

}  // namespace millrace::grammar
