// GPT-OSS: <|channel|>analysis<|message|>...<|end|><|start|>assistant to=functions.f<|channel|>commentary
// json<|message|>{}<|call|>
#include <utility>

#include "chat/literal.h"
#include "chat/output_parser.h"

namespace millrace {
namespace {

struct HarmonyMarkers {
  const std::string start = "<|start|>";
  const std::string message = "<|message|>";
  const std::string end = "<|end|>";
  const std::string call = "<|call|>";
  const std::string stop = "<|return|>";
};

const HarmonyMarkers& Markers() {
  static const HarmonyMarkers markers;
  return markers;
}

// A header is a role, a channel and a recipient.
constexpr size_t kMaxHeaderBytes = 2048;

// The word after `key` in a header, up to a blank or a tag.
std::string_view Word(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = header.substr(at + key.size());
  return rest.substr(0, rest.find_first_of(" \t\r\n<"));
}

}  // namespace

void OutputParser::EnterHeader() {
  const HarmonyMarkers& markers = Markers();
  mode_ = Mode::kHeader;
  header_.clear();
  matcher_.Set({&markers.start, &markers.message, &markers.end, &markers.call, &markers.stop});
}

void OutputParser::FeedHeader(char c) {
  const std::string* marker = matcher_.Feed(c, header_);
  if (marker == &Markers().message) return BeginBody();
  if (marker != nullptr) {
    header_.clear();
  } else if (header_.size() > kMaxHeaderBytes) {
    // No header is that long: the model speaks without channels.
    const std::string text = std::exchange(header_, "");
    BeginBody();
    writer_.Text(OutputDelta::Kind::kContent, text);
  }
}

void OutputParser::BeginBody() {
  const std::string header = std::exchange(header_, "");
  const std::string_view channel = Word(header, "<|channel|>");
  std::string_view recipient = Word(header, "to=");
  body_is_call_ = tools_ && !recipient.empty();
  body_started_ = false;
  body_blanks_.clear();
  body_kind_ = channel == "analysis" ? OutputDelta::Kind::kReasoning : OutputDelta::Kind::kContent;
  if (body_is_call_) {
    if (recipient.starts_with(format_.tools.name_prefix)) recipient.remove_prefix(format_.tools.name_prefix.size());
    writer_.OnCall("", recipient);
  } else {
    writer_.StripLeading();
  }
  if (!body_is_call_ && body_kind_ == OutputDelta::Kind::kReasoning) reasoning_.push_back({position_, SIZE_MAX});
  mode_ = Mode::kBody;
  matcher_.Set({&Markers().end, &Markers().call, &Markers().stop, &Markers().start});
}

void OutputParser::FeedBody(char c) {
  std::string passed;
  const std::string* marker = matcher_.Feed(c, passed);
  if (!body_is_call_) {
    writer_.Text(body_kind_, passed);
  } else {
    for (const char byte : passed) {
      if (IsBlank(byte)) {
        if (body_started_) body_blanks_ += byte;
        if (body_blanks_.size() > kMaxHeaderBytes) writer_.OnArguments(std::exchange(body_blanks_, ""));
        continue;
      }
      body_started_ = true;
      writer_.OnArguments(std::exchange(body_blanks_, "") + byte);
    }
  }
  if (marker == nullptr) return;
  if (!body_is_call_ && body_kind_ == OutputDelta::Kind::kReasoning) CloseReasoning(*marker);
  if (body_is_call_ && !body_started_) writer_.OnArguments("{}");
  writer_.DropBlanks();
  EnterHeader();
}

void OutputParser::FinishHarmony() {
  const std::string pending = matcher_.Take();
  if (mode_ == Mode::kHeader) {
    // Text without any channel is an answer all the same.
    const std::string text = header_ + pending;
    const bool header = text.find("<|channel|>") != std::string::npos || text.find("to=") != std::string::npos;
    if (!header) writer_.Text(OutputDelta::Kind::kContent, text);
  } else if (!body_is_call_) {
    writer_.Text(body_kind_, pending);
  } else {
    writer_.OnArguments(pending);
  }
  writer_.DropBlanks();
}

}  // namespace millrace
