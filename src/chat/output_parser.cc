#include "chat/output_parser.h"

#include <utility>

#include "chat/literal.h"

namespace millrace {

namespace {

bool IsBare(const ToolFormat& tools) {
  return (tools.kind == ToolFormat::Kind::kJson || tools.kind == ToolFormat::Kind::kPythonic) &&
         tools.call_begin.empty();
}

}  // namespace

OutputParser::OutputParser(OutputFormat format, OutputParserOptions options)
    : format_(std::move(format)),
      options_(std::move(options)),
      tools_(options_.parse_tools && format_.tools.kind != ToolFormat::Kind::kNone),
      bare_(tools_ && IsBare(format_.tools)) {
  if (format_.tools.kind == ToolFormat::Kind::kHarmony) {
    EnterHeader();
  } else if (options_.starts_in_reasoning && !format_.reasoning.end.empty()) {
    OpenReasoning();
  } else if (format_.tools.starts_in_call && tools_) {
    EnterContent();
    BeginCalls("", false);
  } else {
    EnterContent();
  }
}

std::vector<OutputDelta> OutputParser::Push(std::string_view text) {
  for (const char c : text) {
    ++position_;
    Feed(c);
  }
  return writer_.Take();
}

void OutputParser::Feed(char c) {
  switch (mode_) {
    case Mode::kContent:
      return FeedContent(c);
    case Mode::kReasoning:
      return FeedReasoning(c);
    case Mode::kCalls:
      return FeedCalls(c);
    case Mode::kHeader:
      return FeedHeader(c);
    case Mode::kBody:
      return FeedBody(c);
  }
}

void OutputParser::OpenReasoning() {
  mode_ = Mode::kReasoning;
  writer_.StripLeading();
  matcher_.Set({&format_.reasoning.begin, &format_.reasoning.end});
  reasoning_.push_back({position_, SIZE_MAX});
}

void OutputParser::CloseReasoning(const std::string& marker) {
  reasoning_.back().end = position_ - marker.size();
}

void OutputParser::EnterContent() {
  mode_ = Mode::kContent;
  // Reasoning opens before the content or not at all: later the tag is something that the model talks about.
  const bool reasoning = !content_started_ && !reasoning_started_;
  const ToolFormat& tools = format_.tools;
  const bool calls = tools_ && !(bare_ && content_started_);
  // Models leave out section_begin at times, after which the section's end stands alone.
  const bool ends = tools_ && !bare_ && writer_.num_calls() > 0;
  matcher_.Set({reasoning ? &format_.reasoning.begin : nullptr, calls ? &tools.section_begin : nullptr,
                calls ? &tools.call_begin : nullptr, ends ? &tools.section_end : nullptr});
}

void OutputParser::FeedContent(char c) {
  if (bare_ && !content_started_ && matcher_.pending().empty() && !IsBlank(c)) {
    if (c == '[' || (c == '{' && format_.tools.kind == ToolFormat::Kind::kJson)) {
      BeginCalls("", true);
      return FeedCalls(c);
    }
  }
  std::string passed;
  const std::string* marker = matcher_.Feed(c, passed);
  if (!passed.empty()) {
    writer_.Text(OutputDelta::Kind::kContent, passed);
    if (!content_started_ && passed.find_first_not_of(" \t\r\n") != std::string::npos) {
      content_started_ = true;
      // The markers that only count before the content are dropped once nothing is pending.
      if (matcher_.pending().empty()) EnterContent();
    }
  }
  if (marker == nullptr) return;
  if (marker == &format_.reasoning.begin) {
    if (content_started_) return writer_.Text(OutputDelta::Kind::kContent, *marker);
    writer_.DropBlanks();
    OpenReasoning();
    return;
  }
  if (marker == &format_.tools.section_end) return writer_.StripLeading();
  if (bare_ && content_started_) return writer_.Text(OutputDelta::Kind::kContent, *marker);
  in_call_ = marker == &format_.tools.call_begin;
  BeginCalls(*marker, bare_);
}

void OutputParser::FeedReasoning(char c) {
  std::string passed;
  const std::string* marker = matcher_.Feed(c, passed);
  if (!passed.empty()) {
    writer_.Text(OutputDelta::Kind::kReasoning, passed);
    reasoning_started_ = reasoning_started_ || passed.find_first_not_of(" \t\r\n") != std::string::npos;
  }
  if (marker == &format_.reasoning.end) {
    CloseReasoning(*marker);
    writer_.DropBlanks();
    writer_.StripLeading();
    reasoning_started_ = true;
    EnterContent();
  } else if (marker != nullptr && reasoning_started_) {
    // The opening tag, which some models repeat at the very start, is text anywhere else.
    writer_.Text(OutputDelta::Kind::kReasoning, *marker);
  }
}

void OutputParser::BeginCalls(std::string held, bool bare) {
  mode_ = Mode::kCalls;
  held_ = std::move(held);
  calls_before_ = writer_.num_calls();
  switch (format_.tools.kind) {
    case ToolFormat::Kind::kJson:
      reader_ = MakeJsonReader(format_.tools, writer_, bare);
      break;
    case ToolFormat::Kind::kNamed:
      reader_ = MakeNamedReader(format_.tools, writer_, in_call_);
      break;
    case ToolFormat::Kind::kXml:
      reader_ = MakeXmlReader(format_.tools, options_.tools, writer_, in_call_);
      break;
    default:
      reader_ = MakePythonicReader(format_.tools, writer_);
  }
}

void OutputParser::FeedCalls(char c) {
  const JsonStep step = reader_->Feed(c);
  const bool reported = writer_.num_calls() > calls_before_;
  if (!reported && step != JsonStep::kBefore) held_ += c;
  if (reported) held_.clear();
  switch (step) {
    case JsonStep::kMore:
      if (!reported && held_.size() > kMaxHeldBytes) Abandon();
      break;
    case JsonStep::kLast:
      EndCalls();
      break;
    case JsonStep::kBefore:
      EndCalls();
      FeedContent(c);
      break;
    case JsonStep::kBad:
      if (!reported) return Abandon();
      EndCalls();
      FeedContent(c);
  }
}

void OutputParser::EndCalls() {
  if (writer_.num_calls() > calls_before_) {
    writer_.DropBlanks();
    writer_.StripLeading();
    // Text after a call is content; a bare call can't follow it.
    content_started_ = true;
  }
  held_.clear();
  reader_.reset();
  EnterContent();
}

void OutputParser::Abandon() {
  const std::string text = std::exchange(held_, "");
  reader_.reset();
  content_started_ = content_started_ || text.find_first_not_of(" \t\r\n") != std::string::npos;
  EnterContent();
  writer_.Text(OutputDelta::Kind::kContent, text);
}

std::vector<OutputDelta> OutputParser::Finish() {
  switch (mode_) {
    case Mode::kContent:
      writer_.Text(OutputDelta::Kind::kContent, matcher_.Take());
      writer_.KeepBlanks(OutputDelta::Kind::kContent);
      break;
    case Mode::kReasoning:
      writer_.Text(OutputDelta::Kind::kReasoning, matcher_.Take());
      writer_.DropBlanks();
      break;
    case Mode::kCalls:
      reader_->Finish();
      if (writer_.num_calls() == calls_before_) {
        Abandon();
        writer_.KeepBlanks(OutputDelta::Kind::kContent);
      }
      break;
    case Mode::kHeader:
    case Mode::kBody:
      FinishHarmony();
  }
  return writer_.Take();
}

}  // namespace millrace
