// Free text: text in which some texts, the triggers, don't occur.
#pragma once

#include <string>
#include <vector>

#include "grammar/terminal.h"

namespace millrace::grammar {

// Aho and Corasick's automaton over bytes. State s has read the longest suffix of the text that begins a trigger.
class FreeText {
 public:
  // No trigger may be empty; their bytes are few (the automaton has a state for each). With utf8 the text is valid
  // UTF-8, provided that all triggers are ASCII; otherwise it is any bytes.
  explicit FreeText(const std::vector<std::string>& triggers, bool utf8 = false);

  // Texts in which no trigger occurs; the empty text is one.
  Terminal WithoutTriggers(Budget& budget) const { return Make(kNoState, budget); }
  // Texts whose first trigger is this one (an index) and ends the text.
  Terminal UpTo(uint32_t trigger, Budget& budget) const { return Make(trigger, budget); }

 private:
  Terminal Make(uint32_t trigger, Budget& budget) const;

  TextEncoding encoding_;
  Alphabet alphabet_;
  std::vector<uint32_t> next_;     // [state, class]
  std::vector<uint32_t> matched_;  // per state: the trigger that ends here, kNoState for none
};

}  // namespace millrace::grammar
