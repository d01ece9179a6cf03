#include "grammar/terminal.h"

#include <algorithm>

namespace millrace::grammar {

bool CanBecomeLive(const Dfa& dfa, uint32_t q, uint32_t decoder) {
  const PartialRange partial = RangeOf(decoder);
  for (int i = 0; i < partial.count; ++i) {
    if (dfa.CanStepWithin(q, partial.ranges[i].first, partial.ranges[i].last)) return true;
  }
  return false;
}

void Terminal::Finish() {
  can_step.resize(dfa->num_states());
  for (uint32_t s = 0; s < dfa->num_states(); ++s) can_step[s] = dfa->CanStep(s);
  if (!counted || is_any_string) return;
  shortest = ShortestWords(*dfa);
  for (uint32_t length : shortest) max_shortest = std::max(max_shortest, length);
}

bool Terminal::CharFits(const LexState& state, uint32_t decoder) const {
  if (shortest.empty()) return state.count < max_count && CanBecomeLive(*dfa, state.q, decoder);
  const PartialRange partial = RangeOf(decoder);
  const uint32_t* row = &dfa->next[size_t{state.q} * dfa->alphabet.num_classes];
  for (int i = 0; i < partial.count; ++i) {
    const auto [first, last] = partial.ranges[i];
    for (size_t at = dfa->alphabet.IntervalOf(first);
         at < dfa->alphabet.starts.size() && dfa->alphabet.starts[at] <= last; ++at) {
      const uint32_t next = row[dfa->alphabet.classes[at]];
      if (next != kNoState && Fits(next, state.count + 1)) return true;
    }
  }
  return false;
}

bool Terminal::Step(LexState& state, uint8_t byte) const {
  if (state.decoder == 0 && byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
    state.q = dfa->Next(state.q, byte);
    return state.q != kNoState && (!counted || Fits(state.q, ++state.count));
  }
  const DecodeStep step = DecodeByte(encoding, state.decoder, byte);
  switch (step.kind) {
    case DecodeStep::kDead:
      return false;
    case DecodeStep::kPartial:
      if (counted ? !CharFits(state, step.state) : !CanBecomeLive(*dfa, state.q, step.state)) return false;
      state.decoder = step.state;
      return true;
    case DecodeStep::kChar:
      state.decoder = 0;
      state.q = dfa->Next(state.q, step.c);
      return state.q != kNoState && (!counted || Fits(state.q, ++state.count));
    case DecodeStep::kClose:
      if (!dfa->accepting[state.q] || (counted && state.count < min_count)) return false;
      state.decoder = step.state;
      return true;
    case DecodeStep::kOpen:
      state.decoder = step.state;
      return true;
  }
  return false;
}

}  // namespace millrace::grammar
