// OutputDelta: one piece of what a model says, as it streams.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

// Bytes [begin, end) of a text.
struct TextSpan {
  size_t begin = 0, end = 0;
};

struct OutputDelta {
  enum class Kind : uint8_t {
    kContent,        // text
    kReasoning,      // text
    kCallStart,      // index, id (empty when the model gives none) and name; its arguments follow
    kCallArguments,  // index, text: a fragment of the JSON of the arguments
  };
  Kind kind = Kind::kContent;
  std::string text;
  int index = 0;
  std::string id;
  std::string name;
  bool operator==(const OutputDelta&) const = default;
};

// Appends a delta, merged into the last one when both carry text of one kind (and one call). Empty text is left out.
inline void AppendDelta(OutputDelta delta, std::vector<OutputDelta>& deltas) {
  const bool start = delta.kind == OutputDelta::Kind::kCallStart;
  if (!start && delta.text.empty()) return;
  if (!start && !deltas.empty() && deltas.back().kind == delta.kind && deltas.back().index == delta.index) {
    deltas.back().text += delta.text;
  } else {
    deltas.push_back(std::move(delta));
  }
}

}  // namespace millrace
