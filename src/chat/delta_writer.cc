#include "chat/delta_writer.h"

#include "chat/literal.h"

namespace millrace {
namespace {}  // namespace

void DeltaWriter::Append(Kind kind, int index, std::string_view text) {
  if (text.empty()) return;
  if (deltas_.empty() || deltas_.back().kind != kind || deltas_.back().index != index) {
    deltas_.push_back({kind, "", index, "", ""});
  }
  deltas_.back().text += text;
}

void DeltaWriter::Text(Kind kind, std::string_view text) {
  for (const char c : text) {
    if (!IsBlank(c)) {
      strip_leading_ = false;
      if (!blanks_.empty()) KeepBlanks(kind);
      Append(kind, 0, std::string_view(&c, 1));
    } else if (!strip_leading_) {
      blanks_ += c;
      if (blanks_.size() > kMaxBlanks) KeepBlanks(kind);
    }
  }
}

void DeltaWriter::KeepBlanks(Kind kind) {
  Append(kind, 0, blanks_);
  blanks_.clear();
}

void DeltaWriter::OnCall(std::string_view id, std::string_view name) {
  DropBlanks();
  deltas_.push_back({Kind::kCallStart, "", num_calls_++, std::string(id), std::string(name)});
}

void DeltaWriter::OnArguments(std::string_view json) {
  Append(Kind::kCallArguments, num_calls_ - 1, json);
}

}  // namespace millrace
