// Generation: the engine requests behind one HTTP request, from submission to the last output, a disconnect or an
// error.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "server/grammar_fields.h"
#include "server/http/exchange.h"
#include "server/service.h"

namespace millrace {

struct Usage {
  int64_t prompt_tokens = 0;  // every prompt once
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t reasoning_tokens = 0;  // of these, inside the reasoning; filled in by the writer of the reply
};

// Makes an endpoint's reply of the outputs. Calls come one at a time, on the output thread or, for an early error, the
// submitting one.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;
  // The outputs of prompt `prompt`, in order for each of its choices.
  virtual void OnOutput(int prompt, RequestOutput& output) = 0;
  // After the last output. One of these two ends the reply.
  virtual void OnFinished(const Usage& usage) = 0;
  virtual void OnError(const ApiError& error) = 0;
};

struct GenerationSpec {
  std::vector<std::vector<TokenId>> prompts;
  std::string prompt_field;  // of the request, for errors: "messages", "prompt" or "input"
  SamplingParams sampling;
  Pooling pooling = Pooling::kNone;
  int priority = 0;
  int64_t timeout_us = 0;                          // 0: none
  int64_t queue_timeout_us = 0, cache_ttl_us = 0;  // 0: none
  uint64_t cache_salt = 0;
  std::string tenant;
  std::optional<OutputConstraint> constraint;  // of the content
  grammar::GrammarPtr grammar;  // what enforces it, and whatever else the answer must be; null: free text
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Checks the bounds of the whole request, submits it, and ends it when the client goes away. Every way it can end
  // calls the writer, but for a client that left.
  static void Start(Service& service, std::shared_ptr<Exchange> exchange, GenerationSpec spec,
                    std::unique_ptr<ReplyWriter> writer);

  Generation(Service& service, std::shared_ptr<Exchange> exchange, int num_sequences, const GenerationSpec& spec,
             std::unique_ptr<ReplyWriter> writer);

 private:
  using Clock = std::chrono::steady_clock;

  void Submit(GenerationSpec spec);
  void OnOutput(int prompt, RequestOutput output);
  void FollowReader();
  void FollowReaderLocked();
  void SetPausedLocked(bool paused);
  void OnClientGone();
  ApiError ErrorOf(const Status& status) const;
  void FailLocked(const ApiError& error);
  void EndLocked();
  void ObserveLocked(const RequestOutput& output);
  void NoteLocked(std::string error);

  Service& service_;
  const std::shared_ptr<Exchange> exchange_;
  const int num_sequences_;
  const std::string prompt_field_, constraint_field_;
  const Clock::time_point start_ = Clock::now();

  std::mutex mutex_;
  std::unique_ptr<ReplyWriter> writer_;
  std::vector<RequestId> ids_;
  size_t num_open_;  // prompts whose outputs are not complete
  bool ended_ = false, paused_ = false;
  Usage usage_;
  FinishReason finish_reason_ = FinishReason::kNone;  // of the choice that ended last
  std::vector<int> cached_;                           // by prompt
  Clock::time_point first_token_, last_token_;
  double left_queue_s_ = 0.0;                               // after start_, of the first sequence
  std::map<std::pair<RequestId, int>, int64_t> generated_;  // tokens by choice
};

}  // namespace millrace
