#include "server/answer.h"

#include "server/api.h"
#include "server/reply.h"

namespace millrace {

AnswerWriter::AnswerWriter(Service& service, std::shared_ptr<Exchange> exchange, AnswerOptions options,
                           const char* id_prefix)
    : service_(service),
      exchange_(std::move(exchange)),
      answer_(std::move(options)),
      id_(ReplyId(id_prefix, exchange_->request())),
      choices_(static_cast<size_t>(answer_.num_prompts) * static_cast<size_t>(answer_.n)) {
  for (size_t i = 0; i < choices_.size(); ++i) {
    choices_[i].index = static_cast<int>(i);
    if (answer_.parser) choices_[i].parser = std::make_unique<ChoiceParser>(service.format, *answer_.parser);
  }
  if (answer_.stream) exchange_->ExpectStream();
}

void AnswerWriter::OnOutput(int prompt, RequestOutput& output) {
  AnswerChoice& choice = choices_[static_cast<size_t>(prompt * answer_.n + output.choice_index)];
  Inspect(prompt, choice, output);
  if (choice.parser != nullptr)
    choice.text_ends.insert(choice.text_ends.end(), output.text_ends.begin(), output.text_ends.end());
  const bool last = output.finish_reason != FinishReason::kNone;
  std::vector<OutputDelta> deltas;
  if (choice.parser != nullptr) {
    deltas = choice.parser->Push(output.text, last);
  } else {
    AppendDelta({.text = std::move(output.text)}, deltas);
  }
  for (const OutputDelta& delta : deltas) choice.text.Add(delta);
  if (answer_.keep_tokens) choice.tokens.insert(choice.tokens.end(), output.tokens.begin(), output.tokens.end());
  if (last) {
    choice.finish_reason = output.finish_reason;
    choice.stop_reason = output.finish_reason == FinishReason::kTimeout ? "timeout" : output.stop_reason;
    choice.stop_token = output.stop_token;
  }
  if (answer_.stream) Stream(choice, deltas);
}

void AnswerWriter::OnFinished(const Usage& counted) {
  Usage usage = counted;
  for (const AnswerChoice& choice : choices_) {
    if (choice.parser != nullptr) usage.reasoning_tokens += choice.parser->CountReasoning(choice.text_ends);
  }
  if (!answer_.stream) {
    exchange_->Send({.body = DumpJson(Whole(usage))});
    return;
  }
  EndStream(usage);
  exchange_->Finish();
}

void AnswerWriter::OnError(const ApiError& error) {
  SendError(*exchange_, error);
}

std::string AnswerWriter::IdOfCall(const AnswerChoice& choice, int call) const {
  return CallId({.index = call, .id = choice.text.calls.at(static_cast<size_t>(call)).id}, exchange_->request().id,
                choice.index);
}

}  // namespace millrace
