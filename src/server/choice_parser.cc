#include "server/choice_parser.h"

#include <algorithm>

#include "chat/output_parser.h"

namespace millrace {

ChoiceParser::ChoiceParser(const OutputFormat& format, const ChoiceParserOptions& options)
    : parallel_calls_(options.parallel_calls) {
  OutputParserOptions parser;
  parser.starts_in_reasoning = options.opens_reasoning;
  parser.parse_tools = options.parse_tools;
  if (options.parse_tools) parser.tools = options.tools;
  OutputFormat used = format;
  if (options.tool_format) used.tools = *options.tool_format;
  parser_ = std::make_unique<OutputParser>(std::move(used), std::move(parser));
}

ChoiceParser::~ChoiceParser() = default;

int ChoiceParser::num_calls() const {
  return parser_->num_calls();
}

int64_t ChoiceParser::CountReasoning(std::span<const int64_t> text_ends) const {
  int64_t count = 0;
  const std::vector<TextSpan>& spans = parser_->reasoning();
  size_t span = 0;
  size_t begin = 0;
  for (const int64_t text_end : text_ends) {
    const size_t end = static_cast<size_t>(text_end);
    while (span < spans.size() && spans[span].end <= begin) ++span;
    if (span == spans.size()) break;
    // A token that has not become text yet, such as half a character, is where the next text will be.
    count += std::max(end, begin + 1) > spans[span].begin;
    begin = end;
  }
  return count;
}

std::vector<OutputDelta> ChoiceParser::Push(const std::string& text, bool last) {
  std::vector<OutputDelta> deltas = parser_->Push(text);
  if (last) {
    for (OutputDelta& delta : parser_->Finish()) AppendDelta(std::move(delta), deltas);
  }
  if (!parallel_calls_) {
    std::erase_if(deltas, [](const OutputDelta& delta) {
      return delta.index > 0 &&
             (delta.kind == OutputDelta::Kind::kCallStart || delta.kind == OutputDelta::Kind::kCallArguments);
    });
  }
  return deltas;
}

void ChoiceText::Add(const OutputDelta& delta) {
  switch (delta.kind) {
    case OutputDelta::Kind::kContent:
      content += delta.text;
      break;
    case OutputDelta::Kind::kReasoning:
      reasoning += delta.text;
      break;
    case OutputDelta::Kind::kCallStart:
      calls.push_back({delta.id, delta.name, ""});
      break;
    case OutputDelta::Kind::kCallArguments:
      calls.at(static_cast<size_t>(delta.index)).arguments += delta.text;
      break;
  }
}

std::string CallId(const OutputDelta& start, const std::string& request_id, int choice) {
  return start.id.empty() ? fmt::format("call_{}_{}_{}", request_id, choice, start.index) : start.id;
}

}  // namespace millrace
