#include "engine/grammar_masks.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {

void GrammarMasks::Start(RequestId request, std::span<const SequenceId> sequences, const grammar::GrammarPtr& grammar) {
  for (const SequenceId sequence : sequences) matchers_.emplace(sequence, Entry{request, grammar::GrammarMatcher(grammar)});
}

void GrammarMasks::ForgetRequest(RequestId request) {
  std::erase_if(matchers_, [request](const auto& entry) { return entry.second.request == request; });
}

void GrammarMasks::Assign(Batch* batch) {
  if (matchers_.empty()) return;
  Waiting step;
  step.step_id = batch->step_id;
  for (OutputRow& output : batch->outputs) {
    if (!output.sample) continue;
    const SequenceId sequence = batch->sequences[static_cast<size_t>(output.row)];
    const auto found = matchers_.find(sequence);
    if (found == matchers_.end()) continue;
    output.grammar_mask = static_cast<int>(step.sequences.size());
    step.sequences.push_back(sequence);
    step.words = std::max(step.words, found->second.matcher.grammar().vocabulary().mask_words());
  }
  batch->num_grammar_masks = static_cast<int>(step.sequences.size());
  if (!step.sequences.empty()) waiting_.push_back(std::move(step));
}

void GrammarMasks::Accept(const std::vector<SequenceEvent>& events) {
  for (const SequenceEvent& event : events) {
    const auto found = matchers_.find(event.sequence);
    if (found == matchers_.end()) continue;
    for (const OutputResult& token : event.tokens) {
      const bool accepted = found->second.matcher.AcceptToken(token.token);
      CHECK(accepted || event.finish_reason != FinishReason::kNone, "token {} was drawn against its mask", token.token);
    }
    if (event.finish_reason != FinishReason::kNone) matchers_.erase(found);
  }
}

std::optional<GrammarMasks::StepMasks> GrammarMasks::MakeMasks() {
  if (waiting_.empty()) return std::nullopt;
  const Waiting step = std::move(waiting_.front());
  waiting_.pop_front();
  StepMasks out;
  out.step_id = step.step_id;
  out.masks.assign(step.sequences.size() * step.words, ~uint32_t{0});
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const auto found = matchers_.find(step.sequences[i]);
    if (found == matchers_.end()) continue;  // ended meanwhile: its row is thrown away
    found->second.matcher.FillBitmask(std::span(out.masks).subspan(i * step.words, found->second.matcher.grammar().vocabulary().mask_words()));
  }
  return out;
}

}  // namespace millrace
