#include "server/generation.h"

#include <algorithm>

namespace millrace {
namespace {

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Status CheckPrompts(const Service& service, const GenerationSpec& spec) {
  for (const std::vector<TokenId>& prompt : spec.prompts) {
    if (prompt.empty()) return InvalidArgument("{} has no tokens", spec.prompt_field);
  }
  return ValidateSamplingParams(spec.sampling, service.engine.checkpoint().config().vocab_size);
}

// The error of a prompt that does not fit, with OpenAI's code and the words that clients know of Anthropic; status 200
// when all fit.
ApiError CheckLengths(const Service& service, const GenerationSpec& spec) {
  const auto limit = static_cast<size_t>(service.engine.max_model_len());
  for (const std::vector<TokenId>& prompt : spec.prompts) {
    if (prompt.size() < limit) continue;
    return {.message = fmt::format("prompt is too long: {} tokens > {} maximum; the model's maximum context length is "
                                   "{} tokens, one of which must be generated "
                                   "(--max-model-len)",
                                   prompt.size(), limit - 1, limit),
            .param = spec.prompt_field,
            .code = std::string(kContextLengthExceeded)};
  }
  return {.status = 200};
}

// Of a request that could not run on an idle server: it is no matter of waiting. Status 200 when it could.
ApiError CheckRoom(const Service& service, const GenerationSpec& spec, int num_sequences) {
  const int limit = service.options.max_open_sequences;
  if (num_sequences <= limit) return {.status = 200};
  const bool many = spec.prompts.size() > 1;
  return {.message = fmt::format("{} asks for {} sequences, {} may be open at once (--max-num-seqs and --max-queued)",
                                 many ? spec.prompt_field : "n or best_of", num_sequences, limit),
          .param = many ? spec.prompt_field : "n"};
}

}  // namespace

Generation::Generation(Service& service, std::shared_ptr<Exchange> exchange, int num_sequences,
                       const GenerationSpec& spec, std::unique_ptr<ReplyWriter> writer)
    : service_(service),
      exchange_(std::move(exchange)),
      num_sequences_(num_sequences),
      prompt_field_(spec.prompt_field),
      constraint_field_(spec.constraint ? spec.constraint->field : ""),
      writer_(std::move(writer)),
      num_open_(spec.prompts.size()),
      cached_(spec.prompts.size()) {}

void Generation::Start(Service& service, std::shared_ptr<Exchange> exchange, GenerationSpec spec,
                       std::unique_ptr<ReplyWriter> writer) {
  if (const Status status = CheckPrompts(service, spec); !status.ok()) return writer->OnError(ToApiError(status));
  if (const ApiError error = CheckLengths(service, spec); error.status != 200) return writer->OnError(error);
  const int num_sequences = static_cast<int>(spec.prompts.size()) * std::max(spec.sampling.n, spec.sampling.best_of);
  if (const ApiError error = CheckRoom(service, spec, num_sequences); error.status != 200)
    return writer->OnError(error);
  if (!service.Reserve(num_sequences)) {
    return writer->OnError(
        Overloaded(fmt::format("{} sequences are open and {} more were asked for, the limit is {} (--max-queued)",
                               service.open_sequences(), num_sequences, service.options.max_open_sequences)));
  }
  const auto generation = std::make_shared<Generation>(service, exchange, num_sequences, spec, std::move(writer));
  // Weak: the exchange must not keep what keeps the exchange.
  exchange->OnClose([weak = std::weak_ptr<Generation>(generation)] {
    if (const std::shared_ptr<Generation> self = weak.lock()) self->OnClientGone();
  });
  exchange->OnDrained([weak = std::weak_ptr<Generation>(generation)] {
    if (const std::shared_ptr<Generation> self = weak.lock()) self->FollowReader();
  });
  generation->Submit(std::move(spec));
}

void Generation::Submit(GenerationSpec spec) {
  for (size_t i = 0; i < spec.prompts.size(); ++i) {
    Request request;
    request.prompt_token_ids = std::move(spec.prompts[i]);
    request.sampling = spec.sampling;
    request.pooling = spec.pooling;
    request.priority = spec.priority;
    request.deadline_us = spec.timeout_us > 0 ? service_.engine.NowUs() + spec.timeout_us : 0;
    request.cache_salt = spec.cache_salt;
    request.cache_ttl_us = spec.cache_ttl_us;
    request.queue_timeout_us = spec.queue_timeout_us;
    request.tenant = spec.tenant;
    const int num_prompt_tokens = static_cast<int>(request.prompt_token_ids.size());
    // The lock keeps outputs away until the id is known.
    std::lock_guard lock(mutex_);
    if (ended_) return;
    const Result<RequestId> id = service_.engine.Submit(
        std::move(request),
        [self = shared_from_this(), prompt = static_cast<int>(i)](RequestOutput output) {
          self->OnOutput(prompt, std::move(output));
        },
        spec.grammar);
    if (!id.ok()) return FailLocked(ErrorOf(id.status()));
    ids_.push_back(*id);
    usage_.prompt_tokens += num_prompt_tokens;
    service_.metrics.RequestStarted(num_prompt_tokens, spec.sampling.n, spec.sampling.max_tokens);
  }
}

void Generation::ObserveLocked(const RequestOutput& output) {
  if (output.tokens.empty()) return;
  const Clock::time_point now = Clock::now();
  const int count = static_cast<int>(output.tokens.size());
  if (usage_.completion_tokens == 0) {
    first_token_ = now;
    service_.metrics.FirstToken(Seconds(now - start_));
    left_queue_s_ = static_cast<double>(std::max<int64_t>(0, output.queue_us)) * 1e-6;
    if (output.queue_us >= 0) service_.metrics.LeftQueue(left_queue_s_);
  } else if (num_sequences_ == 1) {  // with several sequences the outputs of others lie between
    service_.metrics.NextTokens(Seconds(now - last_token_), count);
  }
  last_token_ = now;
  generated_[{output.request, output.choice_index}] += count;
  usage_.completion_tokens += count;
}

// For the log: what is known of the request when it ends.
void Generation::NoteLocked(std::string error) {
  exchange_->Note({.first_token_s = usage_.completion_tokens > 0 ? Seconds(first_token_ - start_) : -1.0,
                   .prompt_tokens = usage_.prompt_tokens,
                   .cached_tokens = usage_.cached_tokens,
                   .completion_tokens = usage_.completion_tokens,
                   .finish_reason = FinishReasonName(finish_reason_),
                   .error = std::move(error)});
}

void Generation::OnOutput(int prompt, RequestOutput output) {
  std::lock_guard lock(mutex_);
  if (ended_) return;
  ObserveLocked(output);
  int& cached = cached_[static_cast<size_t>(prompt)];
  usage_.cached_tokens += std::max(0, output.num_cached_tokens - cached);
  cached = std::max(cached, output.num_cached_tokens);
  if (output.finish_reason != FinishReason::kNone) {
    finish_reason_ = output.finish_reason;
    service_.metrics.ChoiceFinished(output.finish_reason);
  }
  if (output.finish_reason == FinishReason::kError) return FailLocked(ErrorOf(Status(output.error_code, output.error)));
  if (output.finish_reason == FinishReason::kTimeout && usage_.completion_tokens == 0) {
    const bool queued = output.error.ends_with("(queue_timeout)");
    return FailLocked({.status = 504,
                       .message = output.error + " before its first token",
                       .type = "timeout_error",
                       .param = queued ? "queue_timeout" : "timeout"});
  }
  writer_->OnOutput(prompt, output);
  if (!output.request_finished || --num_open_ > 0) return FollowReaderLocked();
  int64_t most = 0;
  for (const auto& [choice, count] : generated_) most = std::max(most, count);
  service_.metrics.RequestFinished({.seconds = Seconds(Clock::now() - start_),
                                    .left_queue = left_queue_s_,
                                    .first_token = Seconds(first_token_ - start_),
                                    .last_token = Seconds(last_token_ - start_),
                                    .num_generated = usage_.completion_tokens,
                                    .most_generated = most,
                                    .num_cached = static_cast<int>(usage_.cached_tokens)});
  NoteLocked("");
  writer_->OnFinished(usage_);
  num_open_ = 0;
  ids_.clear();
  EndLocked();
}

void Generation::FollowReader() {
  std::lock_guard lock(mutex_);
  if (!ended_) FollowReaderLocked();
}

// Generates only while the client reads what there is.
void Generation::FollowReaderLocked() {
  const bool pause = exchange_->backlogged();
  if (pause != paused_) SetPausedLocked(pause);
}

void Generation::SetPausedLocked(bool paused) {
  paused_ = paused;
  for (const RequestId id : ids_) service_.engine.SetPaused(id, paused);
  service_.CountPaused(paused ? num_sequences_ : -num_sequences_);
}

void Generation::OnClientGone() {
  std::lock_guard lock(mutex_);
  if (ended_) return;
  service_.metrics.ChoiceFinished(FinishReason::kAbort);
  finish_reason_ = FinishReason::kAbort;
  NoteLocked("the client left");
  EndLocked();
}

// What the engine says of the prompt and of the grammar, with the field that they came in.
ApiError Generation::ErrorOf(const Status& status) const {
  const bool of_grammar = status.message().starts_with("the grammar") && !constraint_field_.empty();
  ApiError error = ToApiError(of_grammar ? status.WithPrefix(constraint_field_) : status);
  if (error.status == 400 && status.message().starts_with("the prompt")) error.param = prompt_field_;
  if (error.param == prompt_field_ && status.code() == StatusCode::kOutOfRange) error.code = kContextLengthExceeded;
  return error;
}

void Generation::FailLocked(const ApiError& error) {
  NoteLocked(error.message);
  writer_->OnError(error);
  EndLocked();
}

void Generation::EndLocked() {
  ended_ = true;
  if (paused_) service_.CountPaused(-num_sequences_);
  for (const RequestId id : ids_) service_.engine.Abort(id);
  writer_.reset();
  service_.Release(num_sequences_);
}

}  // namespace millrace
