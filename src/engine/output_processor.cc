#include "engine/output_processor.h"

#include <algorithm>

namespace millrace {
namespace {

// Length of the longest proper prefix of `stop` that `text` ends with.
size_t PartialMatch(const std::string& text, const std::string& stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.compare(text.size() - length, length, stop, 0, length) == 0) return length;
  }
  return 0;
}

double MeanLogprob(const RequestOutput& output) {
  double sum = 0.0;
  for (const OutputResult& token : output.tokens) sum += token.logprob;
  return output.tokens.empty() ? 0.0 : sum / static_cast<double>(output.tokens.size());
}

void Append(RequestOutput&& more, RequestOutput* to) {
  to->text += more.text;
  to->tokens.insert(to->tokens.end(), more.tokens.begin(), more.tokens.end());
  to->text_ends.insert(to->text_ends.end(), more.text_ends.begin(), more.text_ends.end());
  to->prompt_logprobs.insert(to->prompt_logprobs.end(), more.prompt_logprobs.begin(), more.prompt_logprobs.end());
  to->finish_reason = more.finish_reason;
  to->stop_reason = more.stop_reason;
  to->stop_token = more.stop_token;
  to->error += more.error;
  to->error_code = more.error_code;
  to->num_prompt_tokens = more.num_prompt_tokens;
  to->num_cached_tokens = more.num_cached_tokens;
  to->queue_us = more.queue_us;
}

}  // namespace

void OutputProcessor::Start(std::shared_ptr<const Request> request) {
  Entry entry;
  const SamplingParams& sampling = request->sampling;
  const int choices = sampling.use_beam_search ? sampling.n : std::max(sampling.n, sampling.best_of);
  if (choices > sampling.n) entry.held.resize(static_cast<size_t>(choices));
  for (int i = 0; i < choices; ++i) {
    entry.choices.push_back(
        {std::make_unique<StreamingDetokenizer>(tokenizer_, request->sampling.skip_special_tokens), "", false});
  }
  const RequestId id = request->id;
  entry.request = std::move(request);
  entries_[id] = std::move(entry);
}

void OutputProcessor::Forget(RequestId request) {
  entries_.erase(request);
}

bool OutputProcessor::ReleaseText(const SamplingParams& params, bool final, Choice* choice, std::string* text,
                                  std::string* stop_reason) const {
  std::string& held = choice->held;
  size_t found = std::string::npos;
  const std::string* which = nullptr;
  size_t keep = 0;
  for (const std::string& stop : params.stop) {
    const size_t at = held.find(stop);
    if (at < found) {
      found = at;
      which = &stop;
    }
    keep = std::max(keep, PartialMatch(held, stop));
  }
  if (which != nullptr) {
    *stop_reason = *which;
    text->append(held, 0, params.include_stop_str_in_output ? found + which->size() : found);
    held.clear();
    return true;
  }
  if (final) keep = 0;
  text->append(held, 0, held.size() - keep);
  held.erase(0, held.size() - keep);
  return false;
}

std::vector<RequestOutput> OutputProcessor::BestOf(Entry* entry) {
  std::vector<RequestOutput>& all = entry->held;
  const std::vector<OutputResult> prompt_logprobs = std::move(all[0].prompt_logprobs);  // the first choice carries them
  std::stable_sort(all.begin(), all.end(),
                   [](const RequestOutput& a, const RequestOutput& b) { return MeanLogprob(a) > MeanLogprob(b); });
  all.resize(static_cast<size_t>(entry->request->sampling.n));
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].request = entry->request->id;
    all[i].choice_index = static_cast<int>(i);
  }
  all[0].prompt_logprobs = prompt_logprobs;
  all.back().request_finished = true;
  return std::move(all);
}

std::vector<RequestOutput> OutputProcessor::Process(const SequenceEvent& event, bool* stopped) {
  *stopped = false;
  const auto found = entries_.find(event.request);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  const size_t choice = static_cast<size_t>(event.choice_index);
  if (entry.choices[choice].ended) return {};
  std::vector<RequestOutput> outputs;
  outputs.push_back(ProcessChoice(event, &entry, stopped));
  const bool finished = entry.num_ended == entry.choices.size();
  if (!entry.held.empty()) {
    Append(std::move(outputs[0]), &entry.held[choice]);
    outputs = finished ? BestOf(&entry) : std::vector<RequestOutput>();
  }
  if (finished) entries_.erase(found);
  return outputs;
}

RequestOutput OutputProcessor::ProcessChoice(const SequenceEvent& event, Entry* entry, bool* stopped) const {
  RequestOutput out;
  Choice& choice = entry->choices[static_cast<size_t>(event.choice_index)];
  out.request = event.request;
  out.choice_index = event.choice_index;
  out.finish_reason = event.finish_reason;
  out.error = event.error;
  out.error_code = event.error_code;
  out.prompt_logprobs = event.prompt_logprobs;
  out.embedding = event.embedding;
  out.num_prompt_tokens = static_cast<int>(entry->request->prompt_token_ids.size());
  out.num_cached_tokens = event.num_cached_tokens;
  out.queue_us = event.queue_us;
  const SamplingParams& params = entry->request->sampling;
  bool matched = false;
  for (size_t i = 0; i < event.tokens.size() && !matched; ++i) {
    out.tokens.push_back(event.tokens[i]);
    // The token that ended the sequence is not text.
    const bool end_token = event.finish_reason == FinishReason::kStop && i + 1 == event.tokens.size();
    if (!end_token) {
      const std::string text = choice.detokenizer->Push(event.tokens[i].token);
      choice.num_bytes += static_cast<int64_t>(text.size());
      choice.held += text;
    }
    out.text_ends.push_back(choice.num_bytes);
    matched = ReleaseText(params, false, &choice, &out.text, &out.stop_reason);
  }
  if (matched) {
    *stopped = event.finish_reason == FinishReason::kNone;
    out.finish_reason = FinishReason::kStop;
  } else if (event.finish_reason != FinishReason::kNone) {
    if (event.finish_reason == FinishReason::kStop && !event.tokens.empty()) {
      const TokenId last = event.tokens.back().token;
      if (std::find(params.stop_token_ids.begin(), params.stop_token_ids.end(), last) != params.stop_token_ids.end())
        out.stop_token = last;
    }
    choice.held += choice.detokenizer->Finish();
    if (ReleaseText(params, true, &choice, &out.text, &out.stop_reason)) out.finish_reason = FinishReason::kStop;
  }
  if (out.finish_reason != FinishReason::kNone) {
    choice.ended = true;
    out.request_finished = ++entry->num_ended == entry->choices.size();
  }
  return out;
}

}  // namespace millrace
