// AnswerWriter: the choices of a reply while they are generated, whichever API is answered: text split into content,
// reasoning and calls, tokens whose logprobs are still to be reported, ends. An API adds what its reply looks like,
// streamed and whole.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/choice_parser.h"
#include "server/generation.h"

namespace millrace {

struct AnswerOptions {
  bool stream = false;
  bool keep_tokens = false;  // logprobs or token ids are reported
  int num_prompts = 1;
  int n = 1;                                  // choices per prompt
  std::optional<ChoiceParserOptions> parser;  // none: the text is content as it is
};

struct AnswerChoice {
  int index = 0;  // among the choices of all prompts
  std::unique_ptr<ChoiceParser> parser;
  ChoiceText text;                   // everything so far
  std::vector<OutputResult> tokens;  // not reported yet
  std::vector<int64_t> text_ends;    // of all tokens, RequestOutput::text_ends; empty without a parser
  bool started = false;              // something of it was streamed
  FinishReason finish_reason = FinishReason::kNone;
  std::string stop_reason;  // the stop string that ended it, or "timeout"
  TokenId stop_token = -1;  // the one of stop_token_ids that ended it

  bool ended() const { return finish_reason != FinishReason::kNone; }
  // As vLLM reports it: the string, the token or null.
  Json StopReason() const {
    return !stop_reason.empty() ? Json(stop_reason) : stop_token >= 0 ? Json(stop_token) : Json(nullptr);
  }
  // It ended to have its calls answered.
  bool calls_tools() const { return finish_reason == FinishReason::kStop && !text.calls.empty(); }
};

class AnswerWriter : public ReplyWriter {
 public:
  void OnOutput(int prompt, RequestOutput& output) final;
  void OnFinished(const Usage& usage) final;
  void OnError(const ApiError& error) override;

 protected:
  AnswerWriter(Service& service, std::shared_ptr<Exchange> exchange, AnswerOptions options, const char* id_prefix);

  // Called first with each output; what is added to output.text is said before it.
  virtual void Inspect(int, AnswerChoice&, RequestOutput&) {}
  // Writes the events of what `deltas` add to a choice, and of its end.
  virtual void Stream(AnswerChoice& choice, const std::vector<OutputDelta>& deltas) = 0;
  // Writes the last events of a stream.
  virtual void EndStream(const Usage& usage) = 0;
  // The reply of a request that is not streamed.
  virtual Json Whole(const Usage& usage) = 0;

  // The id of a choice's call, also when the model gave none.
  std::string IdOfCall(const AnswerChoice& choice, int call) const;

  Service& service_;
  const std::shared_ptr<Exchange> exchange_;
  const AnswerOptions answer_;
  const std::string id_;
  const int64_t created_ = std::time(nullptr);
  std::vector<AnswerChoice> choices_;  // [num_prompts * n]
};

}  // namespace millrace
