// Text: an immutable UTF-8 string that remembers which of its bytes came from the template (trusted) and which came
// from a message, a tool or another input (tainted). Every string operation of the interpreter keeps that knowledge, so
// that the rendered prompt can be encoded without ever reading a special token out of somebody's text.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::jinja {

class Text {
 public:
  // Bytes [previous end, end) share one origin.
  struct Run {
    size_t end;
    bool tainted;
  };

  Text() = default;
  Text(std::string bytes, bool tainted);

  std::string_view view() const { return bytes_; }
  const std::string& str() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Ordered runs that cover all bytes; neighbours differ in origin. Empty when the text is.
  const std::vector<Run>& runs() const { return runs_; }
  bool any_tainted() const;

  // HTML-escaped text in Jinja's sense (the result of `safe` and `escape`): sums with it escape the other side.
  bool markup() const { return markup_; }
  void set_markup(bool markup) { markup_ = markup; }

  // Bytes [begin, begin + size), clipped to the text, with their origins.
  Text Slice(size_t begin, size_t size = std::string::npos) const;

  void Append(std::string_view bytes, bool tainted);
  void Append(const Text& other);
  // Bytes [begin, end) of other.
  void AppendSlice(const Text& other, size_t begin, size_t end);
  void Reserve(size_t bytes) { bytes_.reserve(bytes); }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  bool markup_ = false;
};

using TextPtr = std::shared_ptr<const Text>;

}  // namespace millrace::jinja
