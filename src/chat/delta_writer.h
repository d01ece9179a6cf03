// DeltaWriter: collects deltas, and drops the blanks that models put around reasoning and tool calls.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/json_stream.h"
#include "chat/output_delta.h"

namespace millrace {

class DeltaWriter : public CallSink {
 public:
  using Kind = OutputDelta::Kind;

  // Text of the content or of the reasoning. Blanks at its end are held back until more of that kind follows.
  void Text(Kind kind, std::string_view text);
  // Leading blanks of what follows are dropped.
  void StripLeading() { strip_leading_ = true; }
  // The held blanks come out or are dropped.
  void KeepBlanks(Kind kind);
  void DropBlanks() { blanks_.clear(); }

  void OnCall(std::string_view id, std::string_view name) override;
  void OnArguments(std::string_view json) override;

  int num_calls() const { return num_calls_; }
  std::vector<OutputDelta> Take() { return std::exchange(deltas_, {}); }

 private:
  void Append(Kind kind, int index, std::string_view text);

  // A longer run of blanks is not held back.
  static constexpr size_t kMaxBlanks = 4096;

  std::vector<OutputDelta> deltas_;
  std::string blanks_;
  bool strip_leading_ = false;
  int num_calls_ = 0;
};

}  // namespace millrace
