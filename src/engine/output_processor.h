// OutputProcessor: turns the tokens of sequences into text: detokenizes, finds stop strings, holds back what may become
// one. Runs on the output thread, never on the engine thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/request.h"
#include "scheduler/scheduler.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// What a client sees of one choice since the last output.
struct RequestOutput {
  RequestId request = 0;
  int choice_index = 0;
  std::string text;                  // new text, whole UTF-8 characters
  std::vector<OutputResult> tokens;  // new tokens, the end token included
  std::vector<int64_t>
      text_ends;  // [tokens] bytes of the whole choice's text up to the end of each, with what is held back
  std::vector<OutputResult> prompt_logprobs;
  std::vector<float> embedding;  // of a request with pooling
  FinishReason finish_reason = FinishReason::kNone;
  std::string stop_reason;  // the stop string that ended it, if one did
  TokenId stop_token = -1;  // the one of stop_token_ids that ended it, if one did
  std::string error;
  StatusCode error_code = StatusCode::kInternal;  // of `error`
  int num_prompt_tokens = 0;
  int num_cached_tokens = 0;
  int64_t queue_us = -1;          // from arrival to the first row; -1: none yet
  bool request_finished = false;  // nothing follows for this request
};

class OutputProcessor {
 public:
  explicit OutputProcessor(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Announces a request before its first event.
  void Start(std::shared_ptr<const Request> request);
  void Forget(RequestId request);

  // The outputs of one event, in order. When a stop string ended the sequence, *stopped is set: the scheduler has to
  // end it, and later events of it give nothing. With best_of > n everything is held back until the last choice ended,
  // then the n with the highest mean logprob come, numbered anew.
  std::vector<RequestOutput> Process(const SequenceEvent& event, bool* stopped);

 private:
  struct Choice {
    std::unique_ptr<StreamingDetokenizer> detokenizer;
    std::string held;       // text that a stop string may still swallow
    int64_t num_bytes = 0;  // of all text so far
    bool ended = false;
  };
  struct Entry {
    std::shared_ptr<const Request> request;
    std::vector<Choice> choices;
    std::vector<RequestOutput> held;  // [choices], with best_of > n
    size_t num_ended = 0;
  };
  RequestOutput ProcessChoice(const SequenceEvent& event, Entry* entry, bool* stopped) const;
  static std::vector<RequestOutput> BestOf(Entry* entry);
  // Moves what is certain of choice.held to *text; true when a stop string was found.
  bool ReleaseText(const SamplingParams& params, bool final, Choice* choice, std::string* text,
                   std::string* stop_reason) const;

  const Tokenizer& tokenizer_;
  std::unordered_map<RequestId, Entry> entries_;
};

}  // namespace millrace
