#include <algorithm>
#include <deque>

#include "grammar/dfa.h"

namespace millrace::grammar {

std::vector<uint8_t> FiniteStates(const Dfa& dfa, uint64_t max_words) {
  // A state accepts finitely many words exactly when it reaches no cycle (every state is live): peel off sinks,
  // counting.
  const uint32_t n = dfa.num_states(), k = dfa.alphabet.num_classes;
  constexpr uint64_t kMany = uint64_t{1} << 40;
  std::vector<uint64_t> class_size(k, 0);
  for (size_t i = 0; i < dfa.alphabet.starts.size(); ++i) {
    const uint32_t end = i + 1 < dfa.alphabet.starts.size() ? dfa.alphabet.starts[i + 1] : kMaxCodePoint + 1;
    class_size[dfa.alphabet.classes[i]] += end - dfa.alphabet.starts[i];
  }
  std::vector<uint32_t> out_degree(n, 0);
  std::vector<std::vector<uint32_t>> from(n);
  for (uint32_t s = 0; s < n; ++s) {
    for (uint32_t c = 0; c < k; ++c) {
      const uint32_t t = dfa.next[s * k + c];
      if (t == kNoState) continue;
      ++out_degree[s];
      from[t].push_back(s);
    }
  }
  std::vector<uint8_t> finite(n, 0);
  std::vector<uint64_t> words(n, 0);
  std::vector<uint32_t> work;
  for (uint32_t s = 0; s < n; ++s) {
    if (out_degree[s] == 0) work.push_back(s);
  }
  while (!work.empty()) {
    const uint32_t t = work.back();
    work.pop_back();
    words[t] = dfa.accepting[t];
    for (uint32_t c = 0; c < k; ++c) {
      const uint32_t to = dfa.next[t * k + c];
      if (to != kNoState) words[t] = std::min(kMany, words[t] + std::min(kMany, words[to]) * class_size[c]);
    }
    finite[t] = words[t] <= max_words;
    for (uint32_t s : from[t]) {
      if (--out_degree[s] == 0) work.push_back(s);
    }
  }
  return finite;
}

std::optional<std::vector<std::u32string>> EnumerateWords(const Dfa& dfa, size_t limit, Budget& budget) {
  std::vector<std::u32string> words;
  if (dfa.empty()) return words;
  budget.Spend(dfa.next.size() * 2);
  if (!FiniteStates(dfa)[0]) return std::nullopt;
  struct Item {
    uint32_t state;
    std::u32string text;
  };
  std::vector<Item> work = {{0, {}}};
  size_t steps = 0;
  while (!work.empty()) {
    const Item item = std::move(work.back());
    work.pop_back();
    if (dfa.accepting[item.state]) words.push_back(item.text);
    if (words.size() > limit || work.size() > 4 * limit + 64 || ++steps > 64 * limit + 4096) return std::nullopt;
    const Alphabet& alphabet = dfa.alphabet;
    budget.Spend(alphabet.starts.size() + item.text.size());
    if (budget.exceeded()) return std::nullopt;
    for (size_t i = 0; i < alphabet.starts.size(); ++i) {
      const uint32_t target = dfa.next[item.state * alphabet.num_classes + alphabet.classes[i]];
      if (target == kNoState) continue;
      const uint32_t last = i + 1 < alphabet.starts.size() ? alphabet.starts[i + 1] - 1 : kMaxCodePoint;
      if (last - alphabet.starts[i] > limit) return std::nullopt;
      for (uint32_t c = alphabet.starts[i]; c <= last; ++c) {
        work.push_back({target, item.text + static_cast<char32_t>(c)});
        if (work.size() > 4 * limit + 64) return std::nullopt;
      }
    }
  }
  return words;
}

std::vector<uint32_t> ShortestWords(const Dfa& dfa) {
  const uint32_t n = dfa.num_states(), k = dfa.alphabet.num_classes;
  std::vector<uint32_t> distance(n, UINT32_MAX);
  std::vector<std::vector<uint32_t>> from(n);
  std::deque<uint32_t> queue;
  for (uint32_t s = 0; s < n; ++s) {
    for (uint32_t c = 0; c < k; ++c) {
      if (dfa.next[s * k + c] != kNoState) from[dfa.next[s * k + c]].push_back(s);
    }
    if (!dfa.accepting[s]) continue;
    distance[s] = 0;
    queue.push_back(s);
  }
  while (!queue.empty()) {
    const uint32_t t = queue.front();
    queue.pop_front();
    for (uint32_t s : from[t]) {
      if (distance[s] != UINT32_MAX) continue;
      distance[s] = distance[t] + 1;
      queue.push_back(s);
    }
  }
  return distance;
}

std::optional<std::u32string> ShortestWord(const Dfa& dfa) {
  if (dfa.empty()) return std::nullopt;
  struct Back {
    uint32_t from = kNoState;
    uint32_t c = 0;
  };
  std::vector<Back> back(dfa.num_states());
  std::vector<uint8_t> seen(dfa.num_states(), 0);
  std::deque<uint32_t> queue = {0};
  seen[0] = 1;
  while (!queue.empty()) {
    const uint32_t s = queue.front();
    queue.pop_front();
    if (dfa.accepting[s]) {
      std::u32string word;
      for (uint32_t t = s; back[t].from != kNoState; t = back[t].from) word += static_cast<char32_t>(back[t].c);
      std::reverse(word.begin(), word.end());
      return word;
    }
    for (size_t i = 0; i < dfa.alphabet.starts.size(); ++i) {
      const uint32_t t = dfa.next[s * dfa.alphabet.num_classes + dfa.alphabet.classes[i]];
      if (t == kNoState || seen[t]) continue;
      seen[t] = 1;
      back[t] = {s, dfa.alphabet.starts[i]};
      queue.push_back(t);
    }
  }
  return std::nullopt;
}

}  // namespace millrace::grammar
