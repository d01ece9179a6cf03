#include "server/openai_answer.h"

#include <utility>

#include "server/reply.h"

namespace millrace {

Json OpenAiWriter::Event() const {
  const char* const object = answer_.stream ? envelope_.chunk_object : envelope_.object;
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", service_.model_name}};
}

std::string OpenAiWriter::Chunk(Json choice, const Json& more) const {
  Json event = Event();
  event.update(more);
  event["choices"] = Json::array({std::move(choice)});
  if (envelope_.include_usage) event["usage"] = nullptr;
  return SseData(event);
}

void OpenAiWriter::EndStream(const Usage& usage) {
  if (envelope_.include_usage) {
    Json event = Event();
    event["choices"] = Json::array();
    event["usage"] = UsageJson(Shown(usage));
    exchange_->Write(SseData(event));
  }
  exchange_->Write(kSseDone);
}

Json OpenAiWriter::Whole(const Usage& usage) {
  Json reply = Event();
  reply["choices"] = Json::array();
  for (AnswerChoice& choice : choices_) reply["choices"].push_back(WholeChoice(choice));
  reply["usage"] = UsageJson(Shown(usage));
  Complete(reply);
  return reply;
}

}  // namespace millrace
