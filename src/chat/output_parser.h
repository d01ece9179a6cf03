// OutputParser: splits what a model generates into content, reasoning and tool calls while it streams.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chat/call_readers.h"
#include "chat/delta_writer.h"
#include "chat/marker_matcher.h"
#include "chat/output_delta.h"
#include "chat/output_format.h"

namespace millrace {

struct OutputParserOptions {
  bool starts_in_reasoning = false;  // PromptOpensReasoning of the prompt
  bool parse_tools = true;           // off when the request has no tools: calls then stay text
  nlohmann::ordered_json tools;      // the request's tools or null: their schemas type the values of kXml formats
};

// One generation. Not thread-safe.
//
// Invariants:
// 1. Split law: the deltas of any split of a text, merged, are those of the whole text. Every byte moves one state
// machine, and
//    nothing depends on where Push ends.
// 2. Linear time: constant work per byte (the number and the length of the markers are constants of the format).
// 3. Bounded memory: text is held back while it could still become a marker, while it is blanks that a call would drop,
// and
//    while it is a call whose name is not known yet (at most kMaxHeldBytes); what turns out not to be a call is
//    content.
// 4. What comes out of a call's arguments is what the model wrote (kJson, kNamed, kHarmony), or JSON made of it (kXml,
//    kPythonic). It is not validated: a model can write invalid JSON, and a cut-off generation ends in the middle.
//
// The text must hold the format's markers as text, so it is to be decoded with special tokens, and end-of-turn tokens
// must not be part of it, except that harmony's may.
class OutputParser {
 public:
  static constexpr size_t kMaxHeldBytes = size_t{2} << 20;

  explicit OutputParser(OutputFormat format, OutputParserOptions options = {});
  OutputParser(const OutputParser&) = delete;
  OutputParser& operator=(const OutputParser&) = delete;

  std::vector<OutputDelta> Push(std::string_view text);
  // What was held back at the end of the generation. Nothing may be pushed after it.
  std::vector<OutputDelta> Finish();

  int num_calls() const { return writer_.num_calls(); }
  // Where the reasoning is in what was pushed, without its markers; the last one's end is SIZE_MAX while it is open.
  const std::vector<TextSpan>& reasoning() const { return reasoning_; }

 private:
  enum class Mode : uint8_t { kContent, kReasoning, kCalls, kHeader, kBody };

  void Feed(char c);
  void OpenReasoning();
  void CloseReasoning(const std::string& marker);
  void EnterContent();
  void FeedContent(char c);
  void FeedReasoning(char c);
  void FeedCalls(char c);
  // A trigger or the first byte of a bare call was seen; `held` is its text.
  void BeginCalls(std::string held, bool bare);
  void EndCalls();
  // Gives the held text of what is no call back as content.
  void Abandon();

  // kHarmony (output_parser_harmony.cc): messages of <|channel|>header<|message|>body.
  void EnterHeader();
  void FeedHeader(char c);
  void BeginBody();
  void FeedBody(char c);
  void FinishHarmony();

  const OutputFormat format_;
  const OutputParserOptions options_;
  const bool tools_;  // calls are looked for
  const bool bare_;   // without a marker
  DeltaWriter writer_;
  MarkerMatcher matcher_;
  Mode mode_ = Mode::kContent;
  bool content_started_ = false;
  bool reasoning_started_ = false;
  size_t position_ = 0;  // bytes pushed
  std::vector<TextSpan> reasoning_;
  std::string held_;
  int calls_before_ = 0;
  bool in_call_ = false;  // call_begin was the trigger
  std::unique_ptr<CallReader> reader_;
  // kHarmony.
  std::string header_;
  OutputDelta::Kind body_kind_ = OutputDelta::Kind::kContent;
  bool body_is_call_ = false;
  bool body_started_ = false;
  std::string body_blanks_;
};

}  // namespace millrace
