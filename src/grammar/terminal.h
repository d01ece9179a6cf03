// Terminal: a regular language over the output bytes: an automaton over characters plus the way they are encoded.
// A lexeme in progress is a LexState; stepping it costs a table look-up for ASCII.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/char_decoder.h"
#include "grammar/dfa.h"

namespace millrace::grammar {

struct LexState {
  uint32_t q = 0;        // automaton state
  uint32_t decoder = 0;  // DecodeByte's state
  uint32_t count = 0;    // characters so far, where the terminal counts them
  bool operator==(const LexState&) const = default;
};

struct Terminal {
  DfaPtr dfa;
  TextEncoding encoding = TextEncoding::kUtf8;
  // The opening quote of a kJsonString has been read by someone else (object keys).
  bool starts_inside_string = false;
  // Lengths are counted instead of unrolled: min_count <= characters <= max_count. Only in JSON strings; min_count is 0
  // except with AnyStringDfa().
  bool counted = false;
  uint32_t min_count = 0;
  uint32_t max_count = UINT32_MAX;
  // Label of each accepting state, told apart after the lexeme ends; empty: all 0.
  std::vector<uint16_t> labels;
  // A plain JSON string, counted or not: its masks are the same in every grammar.
  bool is_any_string = false;
  // States from which only finitely many words remain; empty: none, or it doesn't matter.
  std::vector<uint8_t> finite;
  std::vector<uint8_t> can_step;  // per state; filled by Finish
  std::vector<uint32_t>
      shortest;  // per state, where they count: how many characters a lexeme needs at least to its end
  uint32_t max_shortest = 0;
  void Finish();

  LexState Start() const {
    const bool quoted = encoding == TextEncoding::kJsonString && !starts_inside_string;
    return {0, quoted ? kJsonBeforeQuote : 0, 0};
  }
  // False when no lexeme continues like this; state is then unspecified.
  bool Step(LexState& state, uint8_t byte) const;
  bool Accepts(const LexState& state) const {
    if (encoding == TextEncoding::kJsonString) return state.decoder == kJsonDone;
    return state.decoder == 0 && dfa->accepting[state.q];
  }
  // Whether a lexeme that is complete may also go on.
  bool MayGoOn(const LexState& state) const { return state.decoder != kJsonDone && can_step[state.q] != 0; }
  // Whether count characters that led to q leave room for an end.
  bool Fits(uint32_t q, uint32_t count) const {
    return count <= max_count && (shortest.empty() || shortest[q] <= max_count - count);
  }
  // The same for some character that the partial one in decoder can become.
  bool CharFits(const LexState& state, uint32_t decoder) const;
  uint16_t Label(const LexState& state) const { return labels.empty() ? 0 : labels[state.q]; }
};

// Whether some character that the partial one in decoder can become has a transition from q.
bool CanBecomeLive(const Dfa& dfa, uint32_t q, uint32_t decoder);

}  // namespace millrace::grammar
