// OpenAiWriter: what the replies of chat completions and completions have in common: the envelope of a chunk and of a
// whole reply, the event with the usage, the end of the stream.
#pragma once

#include <memory>
#include <string>

#include "server/answer.h"
#include "server/json.h"

namespace millrace {

struct OpenAiEnvelope {
  const char* id_prefix = "";
  const char* object = "";        // of a whole reply
  const char* chunk_object = "";  // of an event
  bool include_usage = false;     // stream_options.include_usage
};

class OpenAiWriter : public AnswerWriter {
 protected:
  OpenAiWriter(Service& service, std::shared_ptr<Exchange> exchange, AnswerOptions answer,
               const OpenAiEnvelope& envelope)
      : AnswerWriter(service, std::move(exchange), std::move(answer), envelope.id_prefix), envelope_(envelope) {}

  // An entry of "choices" of a reply that is not streamed.
  virtual Json WholeChoice(AnswerChoice& choice) = 0;
  // Adds what stands beside "choices" in a reply that is not streamed.
  virtual void Complete(Json&) {}
  // The usage as the client is to see it.
  virtual Usage Shown(Usage usage) const { return usage; }

  // An event with one choice, and what stands beside "choices".
  std::string Chunk(Json choice, const Json& more = Json::object()) const;
  void EndStream(const Usage& usage) final;
  Json Whole(const Usage& usage) final;

 private:
  Json Event() const;

  const OpenAiEnvelope envelope_;
};

}  // namespace millrace
