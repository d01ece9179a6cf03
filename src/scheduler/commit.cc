// Commit: what a finished step means for its sequences.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace millrace {

std::vector<SequenceEvent> Scheduler::Commit(const StepResult& result, int64_t step_time_us) {
  CHECK(!in_flight_.empty(), "no step is in flight");
  const Step step = std::move(in_flight_.front());
  in_flight_.pop_front();
  CHECK_EQ(step.id, result.step_id);
  CHECK_EQ(step.num_outputs, static_cast<int>(result.outputs.size()));
  planner_.Observe(step_time_us, step.num_decode_tokens, step.num_prefill_tokens);
  for (const Row& row : step.rows) CommitRow(row, result);
  return TakeEvents();
}

std::vector<SequenceEvent> Scheduler::CommitFailed(uint64_t step_id, const std::string& error) {
  CHECK(!in_flight_.empty(), "no step is in flight");
  const Step step = std::move(in_flight_.front());
  in_flight_.pop_front();
  CHECK_EQ(step.id, step_id);
  for (const Row& row : step.rows) {
    const Sequence* sequence = Find(row.sequence);
    if (sequence == nullptr) continue;
    // The whole request: its choices may have forked from what the step should have computed.
    const std::vector<SequenceId> ids = requests_.at(sequence->request->id);
    for (SequenceId id : ids) {
      if (Sequence* choice = Find(id); choice != nullptr)
        Finish(*choice, NewEvent(*choice), FinishReason::kError, error);
    }
  }
  return TakeEvents();
}

void Scheduler::CommitRow(const Row& row, const StepResult& result) {
  Sequence* sequence = Find(row.sequence);
  if (sequence == nullptr) return;  // it ended while the step ran
  --sequence->rows_in_flight;
  const bool has_blocks = sequence->phase == SequencePhase::kRunning;
  SequenceEvent event = NewEvent(*sequence);
  for (int i = 0; i < row.num_prompt_outputs; ++i) {
    event.prompt_logprobs.push_back(result.outputs[row.prompt_output + i]);
    if (event.prompt_logprobs.back().failed) event.error = event.prompt_logprobs.back().error;
  }
  const bool prompt_failed = std::any_of(event.prompt_logprobs.begin(), event.prompt_logprobs.end(),
                                         [](const OutputResult& output) { return output.failed; });
  int end = row.context + row.num_tokens - static_cast<int>(row.draft.size());
  if (prompt_failed) event.finish_reason = FinishReason::kError;
  if (row.sample_output >= 0) {
    --sequence->num_pending;
    if (!prompt_failed && sequence->is_beam) {
      ReportBeam(*sequence, result.outputs[row.sample_output], event);
    } else if (!prompt_failed) {
      end += AcceptTokens(*sequence, row, result, event);
    }
  }
  if (event.finish_reason == FinishReason::kError) {
    if (has_blocks) kv_.ForgetPrefix(sequence->blocks);
    std::string error = event.error;
    Finish(*sequence, std::move(event), FinishReason::kError, std::move(error));
    return;
  }
  if (!row.draft.empty() && sequence->phase != SequencePhase::kWaiting) {
    sequence->num_computed = end;
    kv_.Truncate(has_blocks ? sequence->blocks : sequence->host_blocks, end);
  }
  if (has_blocks) {
    kv_.InsertPrefix(sequence->domain, std::span(sequence->tokens).first(end), sequence->blocks, row.state);
    Withdraw(*sequence, end / kKvBlockTokens);
    const Request& request = *sequence->request;
    if (request.cache_ttl_us > 0 && row.context < sequence->num_prompt_tokens && end >= sequence->num_prompt_tokens) {
      kv_.Pin(sequence->domain, request.prompt_token_ids, now_us_ + request.cache_ttl_us);
    }
  }
  if (event.finish_reason != FinishReason::kNone) {
    const FinishReason reason = event.finish_reason;
    Finish(*sequence, std::move(event), reason, "");
  } else if (!event.tokens.empty() || !event.prompt_logprobs.empty()) {
    events_.push_back(std::move(event));
  }
}

// Appends the sampled tokens up to the first that a draft token did not foresee, or to the end of the sequence. Returns
// the accepted drafts.
int Scheduler::AcceptTokens(Sequence& sequence, const Row& row, const StepResult& result, SequenceEvent& event) {
  int accepted = 0;
  for (int i = 0;; ++i) {
    const OutputResult& output = result.outputs[row.sample_output + i];
    if (output.failed) {
      event.finish_reason = FinishReason::kError;
      event.error = output.error;
      event.error_code = output.error_code;
      return accepted;
    }
    if (sequence.request->pooling != Pooling::kNone) {
      event.embedding = output.embedding;
      event.finish_reason = FinishReason::kStop;
      return 0;
    }
    sequence.tokens.push_back(output.token);
    sequence.sampler_state = output.sampler_state;
    event.tokens.push_back(output);
    ++counters_.generation_tokens;
    event.finish_reason = StopAfter(sequence);
    if (event.finish_reason != FinishReason::kNone) return accepted;
    if (i == static_cast<int>(row.draft.size()) || output.token != row.draft[i]) return accepted;
    ++accepted;
    ++counters_.accepted_draft_tokens;
  }
}

FinishReason Scheduler::StopAfter(const Sequence& sequence) const {
  if (EndsSequence(sequence.sampling(), sequence.tokens.back(), sequence.num_generated())) return FinishReason::kStop;
  return static_cast<int>(sequence.tokens.size()) >= sequence.max_tokens ? FinishReason::kLength : FinishReason::kNone;
}

// Whether the token, the generated-th, is an end token.
bool Scheduler::EndsSequence(const SamplingParams& sampling, TokenId token, int generated) const {
  if (generated < sampling.min_tokens) return false;
  const auto contains = [&](const std::vector<TokenId>& ids) {
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  };
  return (!sampling.ignore_eos && contains(config_.eos_token_ids)) || contains(sampling.stop_token_ids);
}

void Scheduler::ReportBeam(Sequence& beam, const OutputResult& output, SequenceEvent& event) {
  if (output.failed) {
    event.finish_reason = FinishReason::kError;
    event.error = output.error;
    return;
  }
  beams_.at(beam.request->id).reports[beam.id] = output.top;
}

}  // namespace millrace
