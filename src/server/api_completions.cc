// POST /v1/completions
#include <algorithm>
#include <ctime>

#include "server/api.h"
#include "server/logprobs.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

struct CompletionOptions {
  bool stream = false, include_usage = false, echo = false, drop_generated = false, return_token_ids = false;
  int logprobs = -1;
  int n = 1;  // per prompt; of best_of the engine returns the n most likely
  bool prompt_logprobs = false;  // wanted by the client
  std::vector<Prompt> prompts;
};

class CompletionWriter : public ReplyWriter {
 public:
  CompletionWriter(Service& service, std::shared_ptr<Exchange> exchange, CompletionOptions options)
      : service_(service),
        exchange_(std::move(exchange)),
        options_(std::move(options)),
        id_(ReplyId("cmpl-", exchange_->request())),
        created_(std::time(nullptr)),
        prompt_logprobs_(options_.prompts.size()) {
    for (size_t i = 0; i < options_.prompts.size() * static_cast<size_t>(options_.n); ++i) {
      choices_.push_back(std::make_unique<Choice>(service.engine.tokenizer()));
    }
    if (options_.stream) exchange_->ExpectStream();
  }

  void OnOutput(int prompt, RequestOutput& output) override {
    const int index = prompt * options_.n + output.choice_index;
    Choice& choice = *choices_[static_cast<size_t>(index)];
    auto& prompt_logprobs = prompt_logprobs_[static_cast<size_t>(prompt)];
    prompt_logprobs.insert(prompt_logprobs.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
    if (options_.echo && !choice.echoed && (!output.tokens.empty() || output.finish_reason != FinishReason::kNone)) Echo(prompt, choice);
    if (options_.drop_generated) {
      output.text.clear();
      output.tokens.clear();
      if (output.finish_reason == FinishReason::kStop) output.finish_reason = FinishReason::kLength;
    }
    for (const OutputResult& token : output.tokens) {
      if (options_.return_token_ids) choice.token_ids.push_back(token.token);
    }
    if (options_.logprobs >= 0) choice.logprobs.Add(output.tokens, options_.logprobs);
    choice.text += output.text;
    if (output.finish_reason != FinishReason::kNone) {
      choice.finish_reason = FinishName(output.finish_reason);
      choice.stop_reason = output.finish_reason == FinishReason::kTimeout ? "timeout" : output.stop_reason;
    }
    if (options_.stream) StreamOutput(index, choice);
  }

  void OnFinished(const Usage& usage) override {
    Usage shown = usage;
    if (options_.drop_generated) shown.completion_tokens = 0;
    if (!options_.stream) {
      exchange_->Send({.body = DumpJson(Whole(shown))});
      return;
    }
    if (options_.include_usage) {
      Json event = Event();
      event["choices"] = Json::array();
      event["usage"] = UsageJson(shown);
      exchange_->Write(SseData(event));
    }
    exchange_->Write(kSseDone);
    exchange_->Finish();
  }

  void OnError(const ApiError& error) override { SendError(*exchange_, error); }

 private:
  struct Choice {
    explicit Choice(const Tokenizer& tokenizer) : logprobs(tokenizer) {}
    std::string text;
    CompletionLogprobs logprobs;
    std::vector<TokenId> token_ids;
    bool echoed = false;
    std::string finish_reason, stop_reason;
  };

  void Echo(int prompt, Choice& choice) {
    choice.echoed = true;
    const Prompt& source = options_.prompts[static_cast<size_t>(prompt)];
    choice.text += source.text;
    if (options_.logprobs < 0) return;
    choice.logprobs.AddUnknown(source.token_ids.front());
    choice.logprobs.Add(prompt_logprobs_[static_cast<size_t>(prompt)], options_.logprobs);
  }

  Json Event() const { return {{"id", id_}, {"object", "text_completion"}, {"created", created_}, {"model", service_.model_name}}; }

  Json ChoiceJson(int index, Choice& choice) {
    Json out = {{"index", index}, {"text", std::exchange(choice.text, "")}, {"logprobs", choice.logprobs.Take()}, {"finish_reason", nullptr}};
    if (!choice.finish_reason.empty()) out["finish_reason"] = choice.finish_reason;
    if (!choice.stop_reason.empty()) out["stop_reason"] = choice.stop_reason;
    if (options_.return_token_ids) out["token_ids"] = std::exchange(choice.token_ids, {});
    return out;
  }

  void StreamOutput(int index, Choice& choice) {
    Json out = ChoiceJson(index, choice);
    if (out["text"].get_ref<const std::string&>().empty() && out["logprobs"].is_null() && choice.finish_reason.empty()) return;
    Json event = Event();
    event["choices"] = Json::array({std::move(out)});
    if (options_.include_usage) event["usage"] = nullptr;
    exchange_->Write(SseData(event));
  }

  Json Whole(const Usage& usage) {
    Json reply = Event();
    reply["choices"] = Json::array();
    for (size_t prompt = 0; prompt < options_.prompts.size(); ++prompt) {
      for (int i = 0; i < options_.n; ++i) {
        const size_t index = reply["choices"].size();
        Json out = ChoiceJson(static_cast<int>(index), *choices_[index]);
        if (options_.prompt_logprobs) out["prompt_logprobs"] = PromptLogprobs(service_.engine.tokenizer(), prompt_logprobs_[prompt]);
        if (options_.return_token_ids) out["prompt_token_ids"] = options_.prompts[prompt].token_ids;
        reply["choices"].push_back(std::move(out));
      }
    }
    reply["usage"] = UsageJson(usage);
    return reply;
  }

  Service& service_;
  const std::shared_ptr<Exchange> exchange_;
  const CompletionOptions options_;
  const std::string id_;
  const int64_t created_;
  std::vector<std::unique_ptr<Choice>> choices_;
  std::vector<std::vector<OutputResult>> prompt_logprobs_;  // by prompt
};

// best_of, echo and the logprobs that they need.
Status ReadCompletionOptions(const Fields& fields, CompletionOptions* options, SamplingParams* sampling) {
  options->stream = fields.Bool("stream", false);
  ASSIGN_OR_RETURN(options->include_usage, ReadIncludeUsage(fields));
  options->echo = fields.Bool("echo", false);
  options->return_token_ids = fields.Bool("return_token_ids", false);
  options->logprobs = static_cast<int>(fields.Int("logprobs", -1));
  options->prompt_logprobs = sampling->prompt_logprobs >= 0;
  options->n = sampling->n;
  sampling->logprobs = options->logprobs;
  const int best_of = static_cast<int>(fields.Int("best_of", sampling->n));
  if (best_of < options->n) return InvalidArgument("best_of is {}, expected at least n, which is {}", best_of, options->n);
  if (best_of > options->n && options->stream) {
    return InvalidArgument("best_of is {}, a stream needs it to be n, which is {}", best_of, options->n);
  }
  sampling->best_of = best_of;
  if (options->echo && options->logprobs >= 0) sampling->prompt_logprobs = std::max(sampling->prompt_logprobs, options->logprobs);
  sampling->max_tokens = static_cast<int>(fields.Int("max_tokens", 16));
  if (sampling->max_tokens == 0) {
    if (!options->echo) return InvalidArgument("max_tokens is 0, expected at least 1 without echo");
    options->drop_generated = true;
    sampling->max_tokens = 1;
  }
  return OkStatus();
}

Status StartCompletion(Service& service, const std::shared_ptr<Exchange>& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Parse(kCompletions, exchange->request().body, service.options.strict_fields));
  AddWarnings(*exchange, fields);
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, exchange->request()));
  CompletionOptions options;
  RETURN_IF_ERROR(ReadCompletionOptions(fields, &options, &spec.sampling));
  ASSIGN_OR_RETURN(options.prompts, ReadPrompts(service, fields));
  if (fields.Has("suffix")) {
    if (options.echo) return InvalidArgument("suffix does not go with echo");
    RETURN_IF_ERROR(InsertSuffix(service, fields.String("suffix"), options.prompts));
  }
  for (const Prompt& prompt : options.prompts) spec.prompts.push_back(prompt.token_ids);
  auto writer = std::make_unique<CompletionWriter>(service, exchange, std::move(options));
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

}  // namespace

void HandleCompletions(Service& service, const std::shared_ptr<Exchange>& exchange) {
  if (const Status status = StartCompletion(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

}  // namespace millrace
