#include "grammar/dfa.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace millrace::grammar {
namespace {

// Minimising a long chain takes as many rounds as it has states; beyond this an automaton stays correct, only larger.
constexpr uint64_t kMaxRefinementSteps = 10'000'000;

uint64_t PairKey(uint32_t a, uint32_t b) {
  return (uint64_t{a} << 32) | b;
}

// The coarsest partition that refines both.
struct Refinement {
  Alphabet alphabet;
  std::vector<std::pair<uint32_t, uint32_t>> pairs;  // class -> (class of a, class of b)
};

Refinement Refine(const Alphabet& a, const Alphabet& b) {
  Refinement out;
  out.alphabet.starts.clear();
  out.alphabet.classes.clear();
  std::unordered_map<uint64_t, uint16_t> ids;
  size_t i = 0, j = 0;
  while (true) {
    out.alphabet.starts.push_back(std::max(a.starts[i], b.starts[j]));
    const uint64_t key = PairKey(a.classes[i], b.classes[j]);
    auto [it, inserted] = ids.try_emplace(key, static_cast<uint16_t>(out.pairs.size()));
    if (inserted) out.pairs.emplace_back(a.classes[i], b.classes[j]);
    out.alphabet.classes.push_back(it->second);
    const uint32_t end_a = i + 1 < a.starts.size() ? a.starts[i + 1] : kNoState;
    const uint32_t end_b = j + 1 < b.starts.size() ? b.starts[j + 1] : kNoState;
    if (end_a == kNoState && end_b == kNoState) break;
    if (end_a <= end_b) ++i;
    if (end_b <= end_a) ++j;
  }
  out.alphabet.num_classes = static_cast<uint32_t>(out.pairs.size());
  out.alphabet.FillAscii();
  return out;
}

// Product automaton; accept(x, y) decides from the two acceptances. A pair with both parts dead is dropped.
template <typename Accept>
Result<DfaPtr> Product(const Dfa& a, const Dfa& b, Budget& budget, Accept accept) {
  Dfa out;
  const Refinement refined = Refine(a.alphabet, b.alphabet);
  out.alphabet = refined.alphabet;
  const uint32_t num_classes = out.alphabet.num_classes;
  if (num_classes > kMaxClasses) return Unsupported("an automaton tells more than {} characters apart", kMaxClasses);
  std::unordered_map<uint64_t, uint32_t> ids;
  std::vector<std::pair<uint32_t, uint32_t>> states;
  auto intern = [&](uint32_t p, uint32_t q) {
    if (p == kNoState && q == kNoState) return kNoState;
    auto [it, inserted] = ids.try_emplace(PairKey(p, q), static_cast<uint32_t>(states.size()));
    if (inserted) states.emplace_back(p, q);
    return it->second;
  };
  intern(a.empty() ? kNoState : 0, b.empty() ? kNoState : 0);
  budget.Spend((a.alphabet.starts.size() + b.alphabet.starts.size()) * 4);
  for (size_t s = 0; s < states.size(); ++s) {
    if (states.size() > kMaxDfaStates || !budget.Charge(num_classes * sizeof(uint32_t))) {
      return Unsupported("an automaton has more than {} states, expected a simpler pattern", kMaxDfaStates);
    }
    budget.Spend(uint64_t{num_classes} * 4);  // one look-up each
    const auto [p, q] = states[s];
    out.accepting.push_back(accept(p != kNoState && a.accepting[p], q != kNoState && b.accepting[q]));
    for (const auto& [class_a, class_b] : refined.pairs) {
      const uint32_t np = p == kNoState ? kNoState : a.next[p * a.alphabet.num_classes + class_a];
      const uint32_t nq = q == kNoState ? kNoState : b.next[q * b.alphabet.num_classes + class_b];
      out.next.push_back(intern(np, nq));
    }
  }
  return std::make_shared<const Dfa>(TrimAndMinimize(std::move(out), budget));
}

// Marks the states that reach an accepting state.
std::vector<uint8_t> LiveStates(const Dfa& dfa) {
  const uint32_t n = dfa.num_states(), k = dfa.alphabet.num_classes;
  std::vector<uint32_t> head(n + 1, 0), from;
  for (uint32_t t : dfa.next) {
    if (t != kNoState) ++head[t + 1];
  }
  for (uint32_t i = 0; i < n; ++i) head[i + 1] += head[i];
  from.resize(head[n]);
  std::vector<uint32_t> fill(head.begin(), head.end() - 1);
  for (uint32_t s = 0; s < n; ++s) {
    for (uint32_t c = 0; c < k; ++c) {
      const uint32_t t = dfa.next[s * k + c];
      if (t != kNoState) from[fill[t]++] = s;
    }
  }
  std::vector<uint8_t> live(n, 0);
  std::vector<uint32_t> work;
  for (uint32_t s = 0; s < n; ++s) {
    if (dfa.accepting[s]) {
      live[s] = 1;
      work.push_back(s);
    }
  }
  while (!work.empty()) {
    const uint32_t t = work.back();
    work.pop_back();
    for (uint32_t i = head[t]; i < head[t + 1]; ++i) {
      if (!live[from[i]]) {
        live[from[i]] = 1;
        work.push_back(from[i]);
      }
    }
  }
  return live;
}

// Rebuilds the automaton on the blocks given per state (kNoState: dropped), the start's block first.
Dfa Rebuild(const Dfa& dfa, const std::vector<uint32_t>& block, std::vector<uint16_t>* labels) {
  Dfa out;
  out.alphabet = dfa.alphabet;
  const uint32_t k = dfa.alphabet.num_classes;
  std::vector<uint32_t> ids(dfa.num_states(), kNoState), order;
  auto visit = [&](uint32_t s) {
    if (s == kNoState || block[s] == kNoState) return kNoState;
    uint32_t& id = ids[block[s]];
    if (id == kNoState) {
      id = static_cast<uint32_t>(order.size());
      order.push_back(s);
    }
    return id;
  };
  if (dfa.empty() || visit(0) == kNoState) return out;
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t s = order[i];
    out.accepting.push_back(dfa.accepting[s]);
    for (uint32_t c = 0; c < k; ++c) out.next.push_back(visit(dfa.next[s * k + c]));
  }
  if (labels != nullptr) {
    std::vector<uint16_t> kept;
    for (uint32_t s : order) kept.push_back((*labels)[s]);
    *labels = std::move(kept);
  }
  return out;
}

// One round of Moore's refinement: states stay together when their blocks and those of all their successors agree.
// Returns the number of blocks.
uint32_t RefineBlocks(const Dfa& dfa, std::vector<uint32_t>& block) {
  const uint32_t n = dfa.num_states(), k = dfa.alphabet.num_classes;
  auto successor = [&](uint32_t s, uint32_t c) {
    const uint32_t t = dfa.next[s * k + c];
    return t == kNoState ? kNoState : block[t];
  };
  auto same = [&](uint32_t a, uint32_t b) {
    if (block[a] != block[b]) return false;
    for (uint32_t c = 0; c < k; ++c) {
      if (successor(a, c) != successor(b, c)) return false;
    }
    return true;
  };
  std::unordered_map<uint64_t, std::pair<uint32_t, uint32_t>> ids;  // hash -> (a state, its block)
  std::vector<uint32_t> refined(n);
  for (uint32_t s = 0; s < n; ++s) {
    uint64_t h = (block[s] + 1) * 0x9E3779B97F4A7C15u;
    for (uint32_t c = 0; c < k; ++c) {
      h = (h + successor(s, c) + 1) * 0xD6E8FEB86659FD93u;
      h ^= h >> 32;
    }
    const auto fresh = std::pair{s, static_cast<uint32_t>(ids.size())};
    auto [it, inserted] = ids.try_emplace(h, fresh);
    while (!inserted && !same(s, it->second.first)) std::tie(it, inserted) = ids.try_emplace(++h, fresh);
    refined[s] = it->second.second;
  }
  block = std::move(refined);
  return static_cast<uint32_t>(ids.size());
}

}  // namespace

size_t Alphabet::IntervalOf(uint32_t c) const {
  return static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), c) - starts.begin()) - 1;
}

void Alphabet::FillAscii() {
  for (uint32_t c = 0; c < 128; ++c) ascii[c] = classes[IntervalOf(c)];
}

bool Dfa::CanStepWithin(uint32_t state, uint32_t first, uint32_t last) const {
  const uint32_t* row = &next[state * alphabet.num_classes];
  for (size_t i = alphabet.IntervalOf(first); i < alphabet.starts.size() && alphabet.starts[i] <= last; ++i) {
    if (row[alphabet.classes[i]] != kNoState) return true;
  }
  return false;
}

bool Dfa::CanStep(uint32_t state) const {
  const auto row = next.begin() + state * alphabet.num_classes;
  return std::any_of(row, row + alphabet.num_classes, [](uint32_t t) { return t != kNoState; });
}

bool Dfa::Accepts(std::u32string_view text) const {
  if (empty()) return false;
  uint32_t state = 0;
  for (char32_t c : text) {
    state = Next(state, c);
    if (state == kNoState) return false;
  }
  return accepting[state];
}

Dfa TrimAndMinimize(Dfa dfa, Budget& budget, std::vector<uint16_t>* labels) {
  budget.Spend(dfa.next.size());
  const std::vector<uint8_t> live = LiveStates(dfa);
  std::vector<uint32_t> block(dfa.num_states(), kNoState);
  for (uint32_t s = 0; s < dfa.num_states(); ++s) {
    if (live[s]) block[s] = s;
  }
  dfa = Rebuild(dfa, block, labels);
  const uint32_t n = dfa.num_states(), k = dfa.alphabet.num_classes;
  block.assign(dfa.accepting.begin(), dfa.accepting.end());
  for (uint32_t s = 0; labels != nullptr && s < n; ++s) block[s] *= 1u + (*labels)[s];
  uint32_t num_blocks = 0;
  const uint64_t max_rounds = std::max<uint64_t>(8, kMaxRefinementSteps / (uint64_t{n} * k + 1));
  for (uint64_t round = 0; round < max_rounds; ++round) {
    budget.Spend(uint64_t{n} * (k + 4));
    if (budget.exceeded()) return dfa;
    const uint32_t refined = RefineBlocks(dfa, block);
    if (refined == num_blocks) return Rebuild(dfa, block, labels);
    num_blocks = refined;
  }
  return dfa;
}

Result<DfaPtr> IntersectDfa(const Dfa& a, const Dfa& b, Budget& budget) {
  return Product(a, b, budget, [](bool x, bool y) { return x && y; });
}
Result<DfaPtr> UnionDfa(const Dfa& a, const Dfa& b, Budget& budget) {
  return Product(a, b, budget, [](bool x, bool y) { return x || y; });
}
Result<DfaPtr> SubtractDfa(const Dfa& a, const Dfa& b, Budget& budget) {
  return Product(a, b, budget, [](bool x, bool y) { return x && !y; });
}

DfaPtr AnyStringDfa() {
  Dfa dfa;
  dfa.alphabet.starts = {0, kSurrogateFirst, kSurrogateLast + 1};
  dfa.alphabet.classes = {0, 1, 0};
  dfa.alphabet.num_classes = 2;
  dfa.alphabet.FillAscii();
  dfa.next = {0, kNoState};
  dfa.accepting = {1};
  return std::make_shared<const Dfa>(std::move(dfa));
}

Result<DfaPtr> StringSetDfa(const std::vector<std::u32string>& strings, Budget& budget) {
  Dfa dfa;
  std::vector<uint32_t> symbols;
  for (const auto& s : strings) symbols.insert(symbols.end(), s.begin(), s.end());
  std::sort(symbols.begin(), symbols.end());
  symbols.erase(std::unique(symbols.begin(), symbols.end()), symbols.end());
  // Class 0 is "any other character".
  for (size_t i = 0; i < symbols.size(); ++i) {
    const uint32_t c = symbols[i];
    if (dfa.alphabet.starts.back() == c) {
      dfa.alphabet.classes.back() = static_cast<uint16_t>(i + 1);
    } else {
      dfa.alphabet.starts.push_back(c);
      dfa.alphabet.classes.push_back(static_cast<uint16_t>(i + 1));
    }
    if (c < kMaxCodePoint) {
      dfa.alphabet.starts.push_back(c + 1);
      dfa.alphabet.classes.push_back(0);
    }
  }
  const size_t k = symbols.size() + 1;
  if (k > kMaxClasses) return Unsupported("a set of strings uses more than {} different characters", kMaxClasses);
  dfa.alphabet.num_classes = static_cast<uint32_t>(k);
  dfa.alphabet.FillAscii();
  auto add_state = [&] {
    dfa.next.insert(dfa.next.end(), k, kNoState);
    dfa.accepting.push_back(0);
    return dfa.num_states() - 1;
  };
  add_state();
  for (const auto& text : strings) {
    uint32_t state = 0;
    for (char32_t c : text) {
      const size_t slot = state * k + dfa.alphabet.ClassOf(c);
      if (dfa.next[slot] == kNoState) {
        if (dfa.num_states() >= 4 * kMaxDfaStates || !budget.Charge(k * sizeof(uint32_t))) return budget.Error();
        const uint32_t added = add_state();
        dfa.next[slot] = added;
      }
      state = dfa.next[slot];
    }
    dfa.accepting[state] = 1;
  }
  return std::make_shared<const Dfa>(TrimAndMinimize(std::move(dfa), budget));
}

Result<DfaPtr> LengthDfa(int64_t min, int64_t max, Budget& budget) {
  const int64_t last = max < 0 ? min : max;
  if (last > kMaxDfaStates) return Unsupported("a length of {} is beyond {} in this combination", last, kMaxDfaStates);
  Dfa dfa = *AnyStringDfa();
  dfa.next.clear();
  dfa.accepting.clear();
  for (int64_t i = 0; i <= last; ++i) {
    if (!budget.Charge(8)) return budget.Error();
    dfa.accepting.push_back(i >= min);
    dfa.next.push_back(i < last ? static_cast<uint32_t>(i + 1) : max < 0 ? static_cast<uint32_t>(i) : kNoState);
    dfa.next.push_back(kNoState);
  }
  return std::make_shared<const Dfa>(TrimAndMinimize(std::move(dfa), budget));
}

}  // namespace millrace::grammar
