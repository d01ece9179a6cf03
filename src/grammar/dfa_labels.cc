#include <algorithm>
#include <map>
#include <utility>

#include "grammar/dfa.h"

namespace millrace::grammar {
namespace {

// The coarsest common refinement; classes[class][automaton] is that automaton's class.
Alphabet Common(const std::vector<DfaPtr>& automata, std::vector<std::vector<uint16_t>>& classes) {
  Alphabet out;
  out.starts = {0, kSurrogateFirst, kSurrogateLast + 1};
  for (const DfaPtr& dfa : automata) {
    out.starts.insert(out.starts.end(), dfa->alphabet.starts.begin(), dfa->alphabet.starts.end());
  }
  std::sort(out.starts.begin(), out.starts.end());
  out.starts.erase(std::unique(out.starts.begin(), out.starts.end()), out.starts.end());
  out.classes.clear();
  std::map<std::vector<uint16_t>, uint16_t> ids;
  for (uint32_t start : out.starts) {
    std::vector<uint16_t> key = {start == kSurrogateFirst};  // surrogates lead nowhere
    for (const DfaPtr& dfa : automata) key.push_back(static_cast<uint16_t>(dfa->alphabet.ClassOf(start)));
    auto [it, inserted] = ids.try_emplace(key, static_cast<uint16_t>(classes.size()));
    if (inserted) classes.push_back(key);
    out.classes.push_back(it->second);
  }
  out.num_classes = static_cast<uint32_t>(classes.size());
  out.FillAscii();
  return out;
}

}  // namespace

Result<LabelledDfa> RunTogether(const std::vector<DfaPtr>& automata, Budget& budget) {
  LabelledDfa out;
  std::vector<std::vector<uint16_t>> classes;
  out.dfa.alphabet = Common(automata, classes);
  budget.Spend(out.dfa.alphabet.starts.size() * (8 + 2 * automata.size()));
  std::map<std::vector<uint32_t>, uint32_t> ids;
  std::vector<std::vector<uint32_t>> states;
  std::map<std::vector<uint8_t>, uint16_t> label_ids;
  auto intern = [&](std::vector<uint32_t> tuple) {
    auto [it, inserted] = ids.try_emplace(tuple, static_cast<uint32_t>(states.size()));
    if (inserted) states.push_back(std::move(tuple));
    return it->second;
  };
  if (classes.size() > kMaxClasses)
    return Unsupported("the patterns of an object's keys tell more than {} characters apart", kMaxClasses);
  std::vector<uint32_t> start;
  for (const DfaPtr& dfa : automata) start.push_back(dfa->empty() ? kNoState : 0);
  intern(std::move(start));
  for (size_t s = 0; s < states.size(); ++s) {
    if (states.size() > kMaxDfaStates || !budget.Charge(classes.size() * 4 + automata.size() * 8)) {
      return Unsupported("the patterns of an object's keys need more than {} automaton states together", kMaxDfaStates);
    }
    budget.Spend(classes.size() * (8 + 2 * automata.size()));
    const std::vector<uint32_t> tuple = states[s];
    std::vector<uint8_t> accepts;
    for (size_t i = 0; i < automata.size(); ++i) {
      accepts.push_back(tuple[i] != kNoState && automata[i]->accepting[tuple[i]]);
    }
    auto [it, inserted] = label_ids.try_emplace(accepts, static_cast<uint16_t>(out.labels.size()));
    if (inserted) out.labels.push_back(accepts);
    out.label_of.push_back(it->second);
    out.dfa.accepting.push_back(1);
    for (const auto& cls : classes) {
      std::vector<uint32_t> next;
      for (size_t i = 0; i < automata.size(); ++i) {
        const Dfa& dfa = *automata[i];
        next.push_back(tuple[i] == kNoState ? kNoState : dfa.next[tuple[i] * dfa.alphabet.num_classes + cls[i + 1]]);
      }
      out.dfa.next.push_back(cls[0] != 0 ? kNoState : intern(std::move(next)));
    }
  }
  return out;
}

}  // namespace millrace::grammar
