#include "chat/jinja/text.h"

#include <algorithm>
#include <utility>

namespace millrace::jinja {

Text::Text(std::string bytes, bool tainted) : bytes_(std::move(bytes)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), tainted});
}

bool Text::any_tainted() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.tainted; });
}

Text Text::Slice(size_t begin, size_t size) const {
  Text result;
  begin = std::min(begin, bytes_.size());
  result.AppendSlice(*this, begin, begin + std::min(size, bytes_.size() - begin));
  result.markup_ = markup_;
  return result;
}

void Text::Append(std::string_view bytes, bool tainted) {
  if (bytes.empty()) return;
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().tainted == tainted) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), tainted});
  }
}

void Text::Append(const Text& other) {
  AppendSlice(other, 0, other.size());
}

void Text::AppendSlice(const Text& other, size_t begin, size_t end) {
  auto run = std::upper_bound(other.runs_.begin(), other.runs_.end(), begin,
                              [](size_t offset, const Run& candidate) { return offset < candidate.end; });
  while (begin < end && run != other.runs_.end()) {
    const size_t stop = std::min(end, run->end);
    Append(other.view().substr(begin, stop - begin), run->tainted);
    begin = stop;
    ++run;
  }
}

}  // namespace millrace::jinja
