#include "chat/jinja/text_ops.h"

#include <algorithm>

#include "chat/jinja/unicode.h"

namespace millrace::jinja {

Text EscapeHtml(const Text& text) {
  Text out;
  const std::string_view view = text.view();
  size_t copied = 0;
  for (size_t i = 0; i < view.size(); ++i) {
    const std::string_view entity = view[i] == '&'    ? "&amp;"
                                    : view[i] == '<'  ? "&lt;"
                                    : view[i] == '>'  ? "&gt;"
                                    : view[i] == '"'  ? "&#34;"
                                    : view[i] == '\'' ? "&#39;"
                                                      : "";
    if (entity.empty()) continue;
    out.AppendSlice(text, copied, i);
    out.Append(entity, text.any_tainted());
    copied = i + 1;
  }
  out.AppendSlice(text, copied, view.size());
  out.set_markup(true);
  return out;
}

Text Strip(const Text& text, const Text* chars, Side side) {
  const std::string_view view = text.view();
  const auto stripped = [&](const Char& c, size_t at) {
    return chars == nullptr ? IsSpace(c.code) : FindBytes(chars->view(), view.substr(at, c.size)) != std::string::npos;
  };
  size_t begin = 0;
  size_t end = view.size();
  while (side != Side::kRight && begin < end) {
    const Char c = DecodeAt(view, begin);
    if (!stripped(c, begin)) break;
    begin += c.size;
  }
  while (side != Side::kLeft && end > begin) {
    const Char c = DecodeBefore(view, end);
    if (!stripped(c, end - c.size)) break;
    end -= c.size;
  }
  return text.Slice(begin, end - begin);
}

Text Replace(const Text& text, const Text& from, const Text& to, int64_t count, size_t max_bytes) {
  Text out;
  size_t copied = 0;
  size_t search = 0;
  for (; count != 0 && out.size() <= max_bytes; --count) {
    const size_t at = FindBytes(text.view(), from.view(), search);
    if (at == std::string::npos) break;
    out.AppendSlice(text, copied, at);
    out.Append(to);
    copied = at + from.size();
    search = copied;
    if (!from.empty()) continue;
    if (at == text.size()) break;
    search = at + DecodeAt(text.view(), at).size;
  }
  out.AppendSlice(text, copied, text.size());
  out.set_markup(text.markup());
  return out;
}

namespace {

size_t SkipWhere(std::string_view view, size_t at, bool space) {
  while (at < view.size()) {
    const Char c = DecodeAt(view, at);
    if (IsSpace(c.code) != space) break;
    at += c.size;
  }
  return at;
}

size_t SkipBackWhere(std::string_view view, size_t end, bool space) {
  while (end > 0) {
    const Char c = DecodeBefore(view, end);
    if (IsSpace(c.code) != space) break;
    end -= c.size;
  }
  return end;
}

}  // namespace

std::vector<Text> Split(const Text& text, std::string_view separator, int64_t limit) {
  std::vector<Text> parts;
  const std::string_view view = text.view();
  if (separator.empty()) {
    for (size_t at = SkipWhere(view, 0, true); at < view.size(); at = SkipWhere(view, at, true)) {
      size_t end = SkipWhere(view, at, false);
      if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) end = SkipBackWhere(view, view.size(), true);
      parts.push_back(text.Slice(at, end - at));
      at = limit >= 0 && static_cast<int64_t>(parts.size()) > limit ? view.size() : end;
    }
    return parts;
  }
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = FindBytes(view, separator, begin);
    if (at == std::string::npos) break;
    parts.push_back(text.Slice(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.Slice(begin));
  return parts;
}

std::vector<Text> SplitRight(const Text& text, std::string_view separator, int64_t limit) {
  if (limit < 0) return Split(text, separator, limit);
  std::vector<Text> parts;
  const std::string_view view = text.view();
  size_t end = separator.empty() ? SkipBackWhere(view, view.size(), true) : view.size();
  bool more = !separator.empty() || end > 0;
  while (more && static_cast<int64_t>(parts.size()) < limit) {
    if (separator.empty()) {
      const size_t begin = SkipBackWhere(view, end, false);
      parts.push_back(text.Slice(begin, end - begin));
      end = SkipBackWhere(view, begin, true);
      more = end > 0;
    } else {
      const size_t at = view.substr(0, end).rfind(separator);
      if (at == std::string::npos) break;
      parts.push_back(text.Slice(at + separator.size(), end - at - separator.size()));
      end = at;
    }
  }
  if (more) {
    const size_t begin = separator.empty() ? SkipWhere(view, 0, true) : 0;
    parts.push_back(text.Slice(begin, end - begin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> SplitLines(const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  const std::string_view view = text.view();
  size_t begin = 0;
  for (size_t i = 0; i < view.size();) {
    const Char c = DecodeAt(view, i);
    if (!IsLineBreak(c.code)) {
      i += c.size;
      continue;
    }
    const size_t end = i + c.size + (c.code == '\r' && i + 1 < view.size() && view[i + 1] == '\n' ? 1 : 0);
    lines.push_back(text.Slice(begin, (keep_ends ? end : i) - begin));
    begin = i = end;
  }
  if (begin < view.size()) lines.push_back(text.Slice(begin));
  return lines;
}

}  // namespace millrace::jinja
