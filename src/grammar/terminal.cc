#include "grammar/terminal.h"

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
}

bool Terminal::Step(LexState& state, uint8_t byte) const {
  if (state.decoder == 0 && byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
    if (counted && ++state.count > max_count) return false;
    state.q = dfa->Next(state.q, byte);
    return state.q != kNoState;
  }
  const DecodeStep step = DecodeByte(encoding, state.decoder, byte);
  switch (step.kind) {
    case DecodeStep::kDead:
      return false;
    case DecodeStep::kPartial:
      if (counted && state.count >= max_count) return false;
      if (!CanBecomeLive(*dfa, state.q, step.state)) return false;
      state.decoder = step.state;
      return true;
    case DecodeStep::kChar:
      if (counted && ++state.count > max_count) return false;
      state.decoder = 0;
      state.q = dfa->Next(state.q, step.c);
      return state.q != kNoState;
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
