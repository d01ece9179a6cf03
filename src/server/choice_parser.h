// ChoiceParser: one answer of a chat, split into content, reasoning and calls while it is generated.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/output_delta.h"
#include "chat/output_format.h"
#include "server/json.h"

namespace millrace {

class OutputParser;

struct ChoiceParserOptions {
  bool opens_reasoning = false;
  bool parse_tools = false;
  bool parallel_calls = true;  // false: calls after the first are dropped
  Json tools;
  std::optional<ToolFormat> tool_format;  // instead of the model's
};

class ChoiceParser {
 public:
  ChoiceParser(const OutputFormat& format, const ChoiceParserOptions& options);
  ~ChoiceParser();

  // The pieces of some more text; at the end of the answer also what was held back.
  std::vector<OutputDelta> Push(const std::string& text, bool last);
  int num_calls() const;
  // Tokens with some of their text inside the reasoning, its markers apart; text_ends[i] is where token i ends in what
  // was pushed.
  int64_t CountReasoning(std::span<const int64_t> text_ends) const;

 private:
  const bool parallel_calls_;
  std::unique_ptr<OutputParser> parser_;
};

// What a choice has said so far, for replies that are sent as a whole.
struct ChoiceText {
  struct Call {
    std::string id, name, arguments;
  };
  std::string content, reasoning;
  std::vector<Call> calls;

  void Add(const OutputDelta& delta);
};

// The id of a call when the model gives none: unique within the request.
std::string CallId(const OutputDelta& start, const std::string& request_id, int choice);

}  // namespace millrace
