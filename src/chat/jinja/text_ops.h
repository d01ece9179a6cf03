// Operations on Text that keep the origin of every byte where they can; where a transformation has no bytewise origin,
// the result is tainted as soon as any of its input is.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "chat/jinja/text.h"
#include "chat/jinja/value.h"

namespace millrace::jinja {

// & < > " ' as HTML entities, marked as markup.
Text EscapeHtml(const Text& text);

// Bytes [begin, end) that str.strip(chars) keeps; a null `chars` strips whitespace.
enum class Side : uint8_t { kBoth, kLeft, kRight };
Text Strip(const Text& text, const Text* chars, Side side);

// str.replace(from, to, count); a negative count replaces all. Stops soon after the result passes max_bytes.
Text Replace(const Text& text, const Text& from, const Text& to, int64_t count, size_t max_bytes);

// str.split(separator, limit) and str.rsplit; an empty separator means runs of whitespace; a negative limit means none.
std::vector<Text> Split(const Text& text, std::string_view separator, int64_t limit);
std::vector<Text> SplitRight(const Text& text, std::string_view separator, int64_t limit);
std::vector<Text> SplitLines(const Text& text, bool keep_ends);

// Applies a function of the bytes to the whole text.
template <typename Function>
Text Transform(const Text& text, Function function) {
  return Text(function(text.view()), text.any_tainted());
}

// format % arguments: %s %r %d %i %f %x and %%, with flags, width and precision, positional or %(name).
Value FormatPercent(Interpreter& interpreter, const Text& format, const Value& arguments);
// format.format(...): {}, {0}, {name}; a format specification is refused.
Value FormatBraces(Interpreter& interpreter, const Text& format, const Arguments& arguments);

}  // namespace millrace::jinja
