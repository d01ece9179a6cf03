// Dfa: a trimmed deterministic automaton over code points, and the Boolean operations that JSON Schema needs.
// Invariants: (1) state 0 is the start; (2) every state reaches an accepting one; (3) the empty language has no states;
// (4) surrogate code points have no transition. Immutable once built and shared between grammars.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/budget.h"
#include "grammar/char_set.h"

namespace millrace::grammar {

inline constexpr uint32_t kNoState = UINT32_MAX;

// Partition of the code points into classes that no transition distinguishes.
struct Alphabet {
  std::vector<uint32_t> starts = {0};   // ascending first code point of each interval; the last ends at kMaxCodePoint
  std::vector<uint16_t> classes = {0};  // class of each interval
  std::array<uint16_t, 128> ascii = {};
  uint32_t num_classes = 1;

  size_t IntervalOf(uint32_t c) const;
  uint32_t ClassOf(uint32_t c) const { return c < 128 ? ascii[c] : classes[IntervalOf(c)]; }
  void FillAscii();
};

struct Dfa {
  Alphabet alphabet;
  std::vector<uint32_t> next;      // [num_states, num_classes], kNoState where there is no way on
  std::vector<uint8_t> accepting;  // [num_states]

  uint32_t num_states() const { return static_cast<uint32_t>(accepting.size()); }
  bool empty() const { return accepting.empty(); }
  uint32_t Next(uint32_t state, uint32_t c) const { return next[state * alphabet.num_classes + alphabet.ClassOf(c)]; }
  // Whether some code point of [first, last] has a transition from state.
  bool CanStepWithin(uint32_t state, uint32_t first, uint32_t last) const;
  bool CanStep(uint32_t state) const;
  bool Accepts(std::u32string_view text) const;
};
using DfaPtr = std::shared_ptr<const Dfa>;

inline constexpr uint32_t kMaxDfaStates = 60'000;
inline constexpr uint32_t kMaxClasses = 60'000;  // of an alphabet: they are numbered in 16 bits

// Every one is bounded by kMaxDfaStates, kMaxClasses and the budget: kUnsupported beyond.
Result<DfaPtr> IntersectDfa(const Dfa& a, const Dfa& b, Budget& budget);
Result<DfaPtr> UnionDfa(const Dfa& a, const Dfa& b, Budget& budget);
Result<DfaPtr> SubtractDfa(const Dfa& a, const Dfa& b, Budget& budget);
// The language of all strings; one state.
DfaPtr AnyStringDfa();
// Exactly the given strings.
Result<DfaPtr> StringSetDfa(const std::vector<std::u32string>& strings, Budget& budget);
// Strings of min to max code points (max < 0: no limit).
Result<DfaPtr> LengthDfa(int64_t min, int64_t max, Budget& budget);

// All words, or nullopt when there are more than limit (or infinitely many) or they are too long.
std::optional<std::vector<std::u32string>> EnumerateWords(const Dfa& dfa, size_t limit, Budget& budget);
// Per state: does it accept finitely many words, and at most max_words of them?
std::vector<uint8_t> FiniteStates(const Dfa& dfa, uint64_t max_words = UINT64_MAX);
// Per state: the length of a shortest accepted word.
std::vector<uint32_t> ShortestWords(const Dfa& dfa);
// A short accepted word (shortest in code points); nullopt for the empty language.
std::optional<std::u32string> ShortestWord(const Dfa& dfa);

// Removes states that reach no accepting state, or that the start does not reach, and merges equivalent ones. labels,
// when given, holds one label per state; accepting states with different labels stay apart, and it is permuted like the
// states. What it costs is charged, but never refused: the caller's next charge fails.
Dfa TrimAndMinimize(Dfa dfa, Budget& budget, std::vector<uint16_t>* labels = nullptr);

// Runs several automata side by side. Every string is accepted; label_of says which of them accept it.
struct LabelledDfa {
  Dfa dfa;
  std::vector<uint16_t> label_of;            // per state
  std::vector<std::vector<uint8_t>> labels;  // [label][automaton]: accepts
};
Result<LabelledDfa> RunTogether(const std::vector<DfaPtr>& automata, Budget& budget);

}  // namespace millrace::grammar
