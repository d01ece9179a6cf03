// POST /v1/completions
#include <algorithm>

#include "server/api.h"
#include "server/logprobs.h"
#include "server/openai_answer.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

constexpr size_t kMaxPrompts = 256;

struct CompletionOptions {
  bool include_usage = false, echo = false, drop_generated = false, return_token_ids = false;
  int logprobs = -1;
  bool prompt_logprobs = false;  // wanted by the client
  std::vector<Prompt> prompts;
};

class CompletionWriter : public OpenAiWriter {
 public:
  CompletionWriter(Service& service, std::shared_ptr<Exchange> exchange, CompletionOptions options,
                   AnswerOptions answer)
      : OpenAiWriter(service, std::move(exchange), std::move(answer),
                     {"cmpl-", "text_completion", "text_completion", options.include_usage}),
        options_(std::move(options)),
        logprobs_(choices_.size(), CompletionLogprobs(service.engine.tokenizer())),
        echoed_(choices_.size()),
        prompt_logprobs_(options_.prompts.size()) {}

 protected:
  void Inspect(int prompt, AnswerChoice& choice, RequestOutput& output) override {
    auto& prompt_logprobs = prompt_logprobs_[static_cast<size_t>(prompt)];
    prompt_logprobs.insert(prompt_logprobs.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
    const bool says_something = !output.tokens.empty() || output.finish_reason != FinishReason::kNone;
    if (options_.drop_generated) {
      output.text.clear();
      output.tokens.clear();
      if (output.finish_reason == FinishReason::kStop) output.finish_reason = FinishReason::kLength;
    }
    if (options_.echo && !echoed_[static_cast<size_t>(choice.index)] && says_something) Echo(prompt, choice, output);
  }

  void Stream(AnswerChoice& choice, const std::vector<OutputDelta>& deltas) override {
    std::string text;
    for (const OutputDelta& delta : deltas) text += delta.text;
    // A token can be half a character: no text yet, but a logprob and an id.
    const bool reports_tokens = (options_.logprobs >= 0 || options_.return_token_ids) && !choice.tokens.empty();
    if (text.empty() && !choice.ended() && !reports_tokens) return;
    Json out = ChoiceJson(choice, std::move(text));
    if (!std::exchange(choice.started, true)) AddPromptIds(choice, out);
    exchange_->Write(Chunk(std::move(out)));
  }

  Json WholeChoice(AnswerChoice& choice) override {
    const size_t prompt = static_cast<size_t>(choice.index / answer_.n);
    Json out = ChoiceJson(choice, choice.text.content);
    if (options_.prompt_logprobs)
      out["prompt_logprobs"] = PromptLogprobs(service_.engine.tokenizer(), prompt_logprobs_[prompt]);
    AddPromptIds(choice, out);
    return out;
  }

  Usage Shown(Usage usage) const override {
    if (options_.drop_generated) usage.completion_tokens = 0;
    return usage;
  }

 private:
  void AddPromptIds(const AnswerChoice& choice, Json& out) const {
    if (options_.return_token_ids)
      out["prompt_token_ids"] = options_.prompts[static_cast<size_t>(choice.index / answer_.n)].token_ids;
  }

  void Echo(int prompt, AnswerChoice& choice, RequestOutput& output) {
    echoed_[static_cast<size_t>(choice.index)] = true;
    const Prompt& source = options_.prompts[static_cast<size_t>(prompt)];
    output.text = source.text + output.text;
    if (options_.logprobs < 0) return;
    CompletionLogprobs& logprobs = logprobs_[static_cast<size_t>(choice.index)];
    logprobs.AddUnknown(source.token_ids.front());
    logprobs.Add(prompt_logprobs_[static_cast<size_t>(prompt)], options_.logprobs);
  }

  Json ChoiceJson(AnswerChoice& choice, std::string text) {
    const std::vector<OutputResult> tokens = std::exchange(choice.tokens, {});
    CompletionLogprobs& logprobs = logprobs_[static_cast<size_t>(choice.index)];
    if (options_.logprobs >= 0) logprobs.Add(tokens, options_.logprobs);
    Json out = {
        {"index", choice.index}, {"text", std::move(text)}, {"logprobs", logprobs.Take()}, {"finish_reason", nullptr}};
    if (choice.ended()) out["finish_reason"] = FinishName(choice.finish_reason);
    if (Json reason = choice.StopReason(); !reason.is_null()) out["stop_reason"] = std::move(reason);
    if (options_.return_token_ids) out["token_ids"] = TokenIds(tokens);
    return out;
  }

  const CompletionOptions options_;
  std::vector<CompletionLogprobs> logprobs_;                // by choice
  std::vector<bool> echoed_;                                // by choice
  std::vector<std::vector<OutputResult>> prompt_logprobs_;  // by prompt
};

// best_of, echo and the logprobs that they need.
Status ReadCompletionOptions(const Fields& fields, CompletionOptions* options, SamplingParams* sampling) {
  RETURN_IF_ERROR(CheckStream(fields));
  ASSIGN_OR_RETURN(options->include_usage, ReadIncludeUsage(fields));
  options->echo = fields.Bool("echo", false);
  options->return_token_ids = fields.Bool("return_token_ids", false);
  options->logprobs = static_cast<int>(fields.Int("logprobs", -1));
  options->prompt_logprobs = sampling->prompt_logprobs >= 0;
  sampling->logprobs = options->logprobs;
  const int best_of = static_cast<int>(fields.Int("best_of", sampling->n));
  if (best_of < sampling->n)
    return InvalidArgument("best_of is {}, expected at least n, which is {}", best_of, sampling->n);
  if (best_of > sampling->n && fields.Bool("stream", false)) {
    return InvalidArgument("best_of is {}, a stream needs it to be n, which is {}", best_of, sampling->n);
  }
  sampling->best_of = best_of;
  if (options->echo && options->logprobs >= 0)
    sampling->prompt_logprobs = std::max(sampling->prompt_logprobs, options->logprobs);
  sampling->max_tokens = static_cast<int>(fields.Int("max_tokens", 16));
  if (sampling->max_tokens == 0) {
    if (!options->echo) return InvalidArgument("max_tokens is 0, expected at least 1 without echo");
    options->drop_generated = true;
    sampling->max_tokens = 1;
  }
  return OkStatus();
}

Status StartCompletion(Service& service, const std::shared_ptr<Exchange>& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, ReadFields(service, *exchange, kCompletions));
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, exchange->request()));
  ASSIGN_OR_RETURN(spec.grammar, CompileConstraint(service.grammars, spec.constraint));
  CompletionOptions options;
  RETURN_IF_ERROR(ReadCompletionOptions(fields, &options, &spec.sampling));
  ASSIGN_OR_RETURN(options.prompts, ReadPrompts(service, fields, "prompt", kMaxPrompts));
  if (fields.Has("suffix")) {
    if (options.echo) return InvalidArgument("suffix does not go with echo");
    const std::string suffix = fields.String("suffix");
    RETURN_IF_ERROR(CheckTextSize(service, "suffix", suffix.size()));
    RETURN_IF_ERROR(InsertSuffix(service.engine.tokenizer(), suffix, options.prompts));
  }
  for (const Prompt& prompt : options.prompts) spec.prompts.push_back(prompt.token_ids);
  AnswerOptions answer;
  answer.stream = fields.Bool("stream", false);
  answer.keep_tokens = options.logprobs >= 0 || options.return_token_ids;
  answer.num_prompts = static_cast<int>(spec.prompts.size());
  answer.n = spec.sampling.n;
  auto writer = std::make_unique<CompletionWriter>(service, exchange, std::move(options), std::move(answer));
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

}  // namespace

void HandleCompletions(Service& service, const std::shared_ptr<Exchange>& exchange) {
  if (const Status status = StartCompletion(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

}  // namespace millrace
