// ResponseItems: the output items of a response as they grow, with the events of a stream. The format is that of
// OpenAI's Responses API.
#pragma once

#include <string>

#include "chat/output_delta.h"
#include "server/json.h"

namespace millrace {

class ResponseItems {
 public:
  explicit ResponseItems(std::string request_id) : request_id_(std::move(request_id)) {}

  // Takes a piece of the answer; `logprobs` belong to it, `call_id` is of a call's start.
  void Add(const OutputDelta& delta, const std::string& call_id, const Json& logprobs);
  // The last item ends: "completed" or "incomplete".
  void Finish(const char* status);

  const Json& items() const { return items_; }
  // The events since the last call, without sequence numbers.
  Json TakeEvents() { return std::exchange(events_, Json::array()); }

 private:
  void Open(const OutputDelta& delta, const std::string& call_id);
  void Close(const char* status);
  Json& Text();  // of the open item's content
  void Emit(const char* type, Json more);
  void EmitPart(const char* type);

  const std::string request_id_;
  Json items_ = Json::array();
  Json events_ = Json::array();
  bool open_ = false;
  OutputDelta::Kind kind_ = OutputDelta::Kind::kContent;  // of the open item; kCallArguments for a call
};

}  // namespace millrace
