#include "grammar/free_text.h"

#include <deque>
#include <utility>

namespace millrace::grammar {
namespace {

// One class for each byte that some trigger has, class 0 for the others.
Alphabet MakeAlphabet(const std::vector<std::string>& triggers) {
  std::vector<uint8_t> used(256, 0);
  for (const std::string& t : triggers) {
    for (char c : t) used[static_cast<uint8_t>(c)] = 1;
  }
  Alphabet alphabet;
  alphabet.starts.clear();
  alphabet.classes.clear();
  uint16_t classes = 1;
  for (uint32_t c = 0; c <= 256; ++c) {
    const bool is_used = c < 256 && used[c];
    if (!is_used && !alphabet.classes.empty() && alphabet.classes.back() == 0) continue;
    alphabet.starts.push_back(c);
    alphabet.classes.push_back(is_used ? classes++ : 0);
  }
  alphabet.num_classes = classes;
  alphabet.FillAscii();
  return alphabet;
}

bool IsAscii(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    for (char c : text) {
      if (static_cast<uint8_t>(c) >= 128) return false;
    }
  }
  return true;
}

}  // namespace

FreeText::FreeText(const std::vector<std::string>& triggers, bool utf8)
    : encoding_(utf8 && IsAscii(triggers) ? TextEncoding::kUtf8 : TextEncoding::kBytes),
      alphabet_(MakeAlphabet(triggers)) {
  const uint32_t classes = alphabet_.num_classes;
  auto add_state = [&] {
    next_.insert(next_.end(), classes, kNoState);
    matched_.push_back(kNoState);
    return static_cast<uint32_t>(matched_.size() - 1);
  };
  add_state();
  for (uint32_t t = 0; t < triggers.size(); ++t) {
    uint32_t state = 0;
    for (char c : triggers[t]) {
      const size_t slot = state * classes + alphabet_.ClassOf(static_cast<uint8_t>(c));
      if (next_[slot] == kNoState) {
        const uint32_t added = add_state();
        next_[slot] = added;
      }
      state = next_[slot];
    }
    if (matched_[state] == kNoState) matched_[state] = t;
  }
  std::vector<uint32_t> fallback(matched_.size(), 0);
  std::deque<uint32_t> queue = {0};
  while (!queue.empty()) {
    const uint32_t s = queue.front();
    queue.pop_front();
    if (matched_[s] == kNoState) matched_[s] = matched_[fallback[s]];
    for (uint32_t c = 0; c < classes; ++c) {
      uint32_t& target = next_[s * classes + c];
      const uint32_t beyond = s == 0 ? 0 : next_[fallback[s] * classes + c];
      if (target == kNoState) {
        target = beyond;
      } else {
        fallback[target] = beyond;
        queue.push_back(target);
      }
    }
  }
}

Terminal FreeText::Make(uint32_t trigger, Budget& budget) const {
  Dfa dfa;
  dfa.alphabet = alphabet_;
  const uint32_t k = alphabet_.num_classes;
  for (uint32_t s = 0; s < matched_.size(); ++s) {
    dfa.accepting.push_back(matched_[s] == trigger);
    for (uint32_t c = 0; c < k; ++c) dfa.next.push_back(matched_[s] == kNoState ? next_[s * k + c] : kNoState);
  }
  return {.dfa = std::make_shared<const Dfa>(TrimAndMinimize(std::move(dfa), budget)), .encoding = encoding_};
}

}  // namespace millrace::grammar
