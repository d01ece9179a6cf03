#include "engine/grammar_masks.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace millrace {
namespace {

// Where little choice is left, the tokens allowed are prefixes of what must come, and tokens that begin with an escape:
// few.
constexpr int kMaxSpellings = 512;
// Tokens without drafts after a row that accepted few of its own.
constexpr int kFirstPause = 4;
constexpr int kMaxPauseDoublings = 6;

bool HasLittleChoice(std::span<const uint32_t> mask) {
  int count = 0;
  for (size_t w = 0; w < mask.size() && count <= kMaxSpellings; ++w) count += std::popcount(mask[w]);
  return count <= kMaxSpellings;
}

Status TooAmbiguous() {
  return InvalidArgument("the grammar is too ambiguous: its text can be read in more than {} ways at once",
                         grammar::kMaxConfigs);
}

}  // namespace

Result<std::shared_ptr<const GuidedStart>> GuidedStart::Make(const grammar::GrammarPtr& grammar) {
  auto start = std::make_shared<GuidedStart>(GuidedStart{grammar::GrammarMatcher(grammar), {}});
  start->mask.resize(grammar->vocabulary().mask_words());
  start->matcher.FillBitmask(start->mask);
  if (start->matcher.overflowed()) return TooAmbiguous();
  return std::shared_ptr<const GuidedStart>(std::move(start));
}

void GrammarMasks::Start(RequestId request, std::span<const SequenceId> sequences,
                         const std::shared_ptr<const GuidedStart>& start) {
  for (const SequenceId sequence : sequences) matchers_.emplace(sequence, Entry{request, start->matcher, start, 0, {}});
}

void GrammarMasks::ForgetRequest(RequestId request) {
  std::erase_if(matchers_, [request](const auto& entry) { return entry.second.request == request; });
}

void GrammarMasks::Assign(Batch* batch) {
  if (matchers_.empty()) return;
  Waiting step;
  step.step_id = batch->step_id;
  int last_row = -1;
  for (OutputRow& output : batch->outputs) {
    if (!output.sample) continue;
    const SequenceId sequence = batch->sequences[static_cast<size_t>(output.row)];
    const auto found = matchers_.find(sequence);
    if (found == matchers_.end()) continue;
    const bool first = output.row != last_row;
    last_row = output.row;
    found->second.rows_in_flight += first;
    found->second.num_drafts = first ? 0 : found->second.num_drafts + 1;
    output.grammar_mask = static_cast<int>(step.outputs.size());
    step.outputs.push_back({sequence, first ? -1 : batch->token_ids[static_cast<size_t>(output.token_index)]});
    step.words = std::max(step.words, found->second.matcher.grammar().vocabulary().mask_words());
  }
  batch->num_grammar_masks = static_cast<int>(step.outputs.size());
  if (!step.outputs.empty()) waiting_.push_back(std::move(step));
}

void GrammarMasks::Accept(std::vector<SequenceEvent>& events) {
  for (SequenceEvent& event : events) {
    const auto found = matchers_.find(event.sequence);
    if (found == matchers_.end()) continue;
    Entry& entry = found->second;
    if (!event.tokens.empty()) {
      --entry.rows_in_flight;
      entry.start = nullptr;
      Learn(entry, static_cast<int>(event.tokens.size()));
    }
    for (const OutputResult& token : event.tokens) {
      const bool accepted = entry.matcher.AcceptToken(token.token);
      CHECK(accepted || event.finish_reason != FinishReason::kNone || entry.matcher.overflowed(),
            "token {} was drawn against its mask", token.token);
      if (!entry.forced.empty() && entry.forced.front() == token.token) {
        entry.forced.erase(entry.forced.begin());
      } else {
        entry.forced.clear();
      }
    }
    if (event.finish_reason == FinishReason::kError && entry.matcher.overflowed())
      event.error = TooAmbiguous().message();
    if (event.finish_reason != FinishReason::kNone) matchers_.erase(found);
  }
}

// From a row that drew so many tokens. A row with drafts is the only one in flight.
void GrammarMasks::Learn(Entry& entry, int num_tokens) {
  entry.pause = std::max(0, entry.pause - num_tokens);
  if (entry.num_drafts == 0 || entry.rows_in_flight > 0) return;
  if (2 * (num_tokens - 1) >= entry.num_drafts) {
    entry.num_misses = 0;
  } else {
    entry.pause = kFirstPause << std::min(entry.num_misses++, kMaxPauseDoublings);
  }
}

void GrammarMasks::FillOutputs(Entry& entry, std::span<const Output> outputs, size_t words, std::span<uint32_t> masks) {
  const size_t own_words = entry.matcher.grammar().vocabulary().mask_words();
  int accepted = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    // A draft that the grammar refuses can't be drawn: nothing after it counts.
    if (i > 0 && !entry.matcher.AcceptToken(outputs[i].draft)) break;
    accepted += i > 0;
    const std::span<uint32_t> mask = masks.subspan(i * words, own_words);
    if (i == 0 && entry.start != nullptr) {
      std::copy(entry.start->mask.begin(), entry.start->mask.end(), mask.begin());
    } else {
      entry.matcher.FillBitmask(mask);
    }
  }
  entry.forced.clear();
  const bool all = accepted + 1 == static_cast<int>(outputs.size());
  if (max_forced_ > 0 && all && HasLittleChoice(masks.subspan((outputs.size() - 1) * words, own_words))) {
    entry.forced = entry.matcher.ForcedTokens(max_forced_ + 1);
    for (size_t i = outputs.size() - 1; i > 0 && !entry.forced.empty(); --i)
      entry.forced.insert(entry.forced.begin(), outputs[i].draft);
  }
  entry.matcher.Rollback(accepted);
}

std::optional<GrammarMasks::StepMasks> GrammarMasks::MakeMasks() {
  if (waiting_.empty()) return std::nullopt;
  const Waiting step = std::move(waiting_.front());
  waiting_.pop_front();
  StepMasks out;
  out.step_id = step.step_id;
  out.masks.assign(step.outputs.size() * step.words, ~uint32_t{0});
  for (size_t begin = 0, end = 0; begin < step.outputs.size(); begin = end) {
    end = begin + 1;
    while (end < step.outputs.size() && step.outputs[end].draft >= 0) ++end;
    const auto found = matchers_.find(step.outputs[begin].sequence);
    if (found == matchers_.end()) continue;  // ended meanwhile: its row is thrown away
    FillOutputs(found->second, std::span(step.outputs).subspan(begin, end - begin), step.words,
                std::span(out.masks).subspan(begin * step.words, (end - begin) * step.words));
  }
  return out;
}

void GrammarMasks::SetDrafts(Scheduler& scheduler) {
  if (max_forced_ == 0) return;
  for (auto& [sequence, entry] : matchers_) {
    // The first forced token is what the row in flight draws.
    const size_t drawn = static_cast<size_t>(std::min(entry.rows_in_flight, 1));
    if (entry.forced.size() <= drawn || entry.pause > 0) {
      scheduler.SetDraft(sequence, {});
    } else {
      scheduler.SetDraft(sequence, {entry.forced.begin() + static_cast<std::ptrdiff_t>(drawn), entry.forced.end()});
    }
  }
}

}  // namespace millrace
